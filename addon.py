"""Registers the extension with TEN. Import side effect: the addon name becomes known to the runtime."""

from ten_runtime import Addon, TenEnv, register_addon_as_extension


@register_addon_as_extension("openai_asr_python")
class OpenAIASRExtensionAddon(Addon):
    """Factory that TEN calls once per graph node."""

    def on_create_instance(self, ten_env: TenEnv, name: str, context: object) -> None:
        # Imported here, not at the top: registering an addon must stay cheap for apps that never use it.
        from .extension import OpenAIASRExtension

        ten_env.log_info("on_create_instance")
        ten_env.on_create_instance_done(OpenAIASRExtension(name), context)
