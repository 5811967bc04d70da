"""Masking since there is something of the vendor's to mask."""

from .._shared.masking import mask_secret, redact_headers, redact_json, redact_url

encrypt = mask_secret

__all__ = ["encrypt", "mask_secret", "redact_headers", "redact_json", "redact_url"]
