"""Everything the doctor can find wrong: data, of which `docs/doctor.md` is made as well."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from .report import Finding


class Trouble(NamedTuple):
    """One thing that can be wrong."""

    name: str
    check: str
    "Id of the check that finds it."
    status: Literal["warning", "failed"]
    meaning: str
    remedy: str
    "What to do. Words in braces are filled in with what was found."
    stops: bool = True
    "What builds on the check cannot be looked at; a warning never stops anything."


_FAIL: Literal["failed"] = "failed"
_WARN: Literal["warning"] = "warning"

_ALL = (
    Trouble("python_too_old", "python", _FAIL, "Python is older than 3.10.",
            "Run TEN with Python 3.10 to 3.13 (TEN_PYTHON_LIB_PATH names its library).", stops=False),
    Trouble("python_untested", "python", _WARN, "Python is newer than any this version was tested with.",
            "Use Python 3.10 to 3.13 if something is odd."),
    Trouble("package_missing", "packages", _FAIL, "A package the extension needs is not installed.",
            "pip install {requirements}", stops=False),
    Trouble("package_range", "packages", _FAIL, "A package is there in a version the extension does not work with: "
            "TEN installs all extensions into one environment, and another one may have chosen it.",
            "pip install {requirements}", stops=False),
    Trouble("pins_apart", "siblings", _FAIL, "An extension of the app pins a package to versions that are none of "
            "ours: whichever is installed last breaks the other.",
            "Change {file}: no version of {package} is both {theirs} and {ours}.", stops=False),
    Trouble("sibling_broken", "siblings", _WARN, "Another package or extension does not work with the installed "
            "version of a package it shares with us.", "{advice}"),
    Trouble("property_wrong", "configuration", _FAIL, "A property has a value that cannot work, or lacks one.",
            "{problems}"),
    Trouble("proxy_url", "configuration", _FAIL, "What is to be the proxy is no URL of one.", "{advice}"),
    Trouble("property_unknown", "configuration", _FAIL, "A property nobody knows. The extension warns and ignores it; "
            "what it was meant to do is not done.", "{problems}", stops=False),
    Trouble("variable_unset", "configuration", _FAIL, "A placeholder names an environment variable that is not set "
            "and has no default: TEN does not start such a graph.",
            "Set {variables}, or write a default: ${{env:NAME|default}}."),
    Trouble("property_doubtful", "configuration", _WARN, "A value is taken, and probably not what was meant.",
            "{problems}"),
    Trouble("model_refuses", "model", _FAIL, "The model, or the kind of server, cannot do what is asked of it, for "
            "example find the turns.", "{problems}"),
    Trouble("left_out", "model", _WARN, "The model does not take an option; it is left out.",
            "Remove what it does not take, or choose a model that takes it: openai-asr models."),
    Trouble("model_ending", "end", _WARN, "The announced last day of the model is near, or past.",
            "Change params.input_audio_transcription.model to {replacements}."),
    Trouble("name_unknown", "dns", _FAIL, "No name server knows the host.",
            "Check the spelling of {what} ({host}), and whether this machine can resolve names at all."),
    Trouble("name_late", "dns", _FAIL, "No name server answers.",
            "Check this machine's name servers and its network."),
    Trouble("port_closed", "tcp", _FAIL, "The machine is there and nobody listens on the port.",
            "Start {whom}, or correct the port in {what}."),
    Trouble("port_silent", "tcp", _FAIL, "Nothing answers: the machine is off, or a firewall swallows it.",
            "Check that {host} may be reached from here on port {port}; a proxy goes into params.proxy."),
    Trouble("no_route", "tcp", _FAIL, "There is no way to that machine.",
            "Check the network of this machine, and {what}."),
    Trouble("proxy_login", "proxy", _FAIL, "The proxy wants a user name and a password, or others (407).",
            "Write user name and password into the URL of {what}, before the host."),
    Trouble("proxy_refuses", "proxy", _FAIL, "The proxy does not let us through to the server.",
            "Ask whoever runs the proxy to allow CONNECT to {host}:{port}, or go around it with NO_PROXY={host}."),
    Trouble("proxy_failed", "proxy", _FAIL, "What is taken for a proxy does not behave like one.",
            "Check the scheme, the host and the port of {what}."),
    Trouble("proxy_name", "proxy", _FAIL, "This kind of proxy is given an address, and this machine does not know the "
            "server's name.",
            "Check the host in params.base_url; a proxy that can look the name up itself is written {scheme}://."),
    Trouble("proxy_certificate", "proxy", _FAIL, "An https proxy shows a certificate that the system does not trust, "
            "or of another name.",
            "Name the PEM file of its authority in SSL_CERT_FILE (params.ca_file is for the server), or use an http:// "
            "proxy."),
    Trouble("proxy_package", "proxy", _FAIL, "A package that this kind of proxy needs is not installed.",
            "pip install {requirements}"),
    Trouble("plain_text", "tls", _WARN, "The URL is ws:// and the server another machine: key and speech can be read "
            "on the way.", "Use wss:// in params.base_url, unless the network between is your own."),
    Trouble("certificate_expired", "tls", _FAIL, "The server's certificate has run out.",
            "Renew it; if it is valid, the clock of this machine is wrong."),
    Trouble("certificate_early", "tls", _FAIL, "The server's certificate is not valid yet.",
            "Set the clock of this machine; if it is right, the certificate is not."),
    Trouble("certificate_other_host", "tls", _FAIL, "The certificate is for another host.",
            "Use a name that is in the certificate in params.base_url, instead of {host}."),
    Trouble("certificate_unknown", "tls", _FAIL, "Nobody we trust has signed the certificate: it is self-signed, of a "
            "private authority, or of a proxy that looks into TLS.",
            "Name the PEM file of that authority in params.ca_file (or SSL_CERT_FILE)."),
    Trouble("certificate_ending", "tls", _WARN, "The certificate runs out within two weeks.",
            "Renew it before that day."),
    Trouble("ca_file_unusable", "tls", _FAIL, "The file, or folder, of certificates to trust cannot be used.",
            "Name a PEM file with certificates in {place} (a folder with them in SSL_CERT_DIR), or remove it."),
    Trouble("no_tls", "tls", _FAIL, "What listens there does not speak TLS, or breaks it off.",
            "Use ws:// in params.base_url if the server has no TLS; else check its port."),
    Trouble("tls_in_tls", "tls", _FAIL, "An https proxy before a wss:// server is TLS inside of TLS, which "
            "Python 3.10 cannot do.",
            "Run TEN with Python 3.11 or newer, or use an http:// proxy."),
    Trouble("path_wrong", "handshake", _FAIL, "There is no Realtime service at that path (404).",
            "Check the path in params.base_url; it usually ends in /v1. Azure: check the deployment."),
    Trouble("forbidden", "handshake", _FAIL, "The server forbids it (403): some do for a path they do not have.",
            "Check the key's rights and the path in params.base_url."),
    Trouble("region", "handshake", _FAIL, "The service does not serve the country this machine is seen in.",
            "Use another server in params.base_url or, if your contract allows it, a proxy elsewhere in params.proxy."),
    Trouble("overloaded", "handshake", _FAIL, "Too many requests (429).",
            "Wait, and ask again; if it lasts, use fewer streams, or get a higher limit."),
    Trouble("service_down", "handshake", _FAIL, "The service, or what stands before it, has a fault (5xx, "
            "server_error).",
            "Ask again in a minute; if it lasts, look at the service's status page."),
    Trouble("redirected", "handshake", _FAIL, "The server sends us elsewhere; the extension does not take the key "
            "there.", "{advice}"),
    Trouble("no_websocket", "handshake", _FAIL, "It answers like a web server and does not upgrade to a WebSocket.",
            "{advice}"),
    Trouble("no_http", "handshake", _FAIL, "What listens there does not speak HTTP, or hangs up.",
            "Check host and port in params.base_url."),
    Trouble("client_certificate", "handshake", _FAIL, "The server wants a certificate of whoever connects.",
            "The extension has no certificate of its own: have the server ask for none, or put a proxy that has one "
            "before it."),
    Trouble("handshake_late", "handshake", _FAIL, "The connection stands and the handshake is not answered.",
            "Restart the server; give one that is slow more with --timeout and params.connect_timeout_ms."),
    Trouble("mute", "handshake", _FAIL, "It is a WebSocket and says nothing: no Realtime service, or one that loads "
            "its model first.",
            "Check that params.base_url is a Realtime service; give it more with --timeout and "
            "params.connect_timeout_ms."),
    Trouble("connect_short", "handshake", _FAIL, "The session comes about later than the extension waits for it.",
            "Raise params.connect_timeout_ms well above {needed}."),
    Trouble("thrown_out", "handshake", _FAIL, "The server upgrades and ends the connection before the session.",
            "{advice}"),
    Trouble("key_command", "key", _FAIL, "The command that should print the key fails, hangs, or prints nothing.",
            "Run the command of params.api_key_command in a shell, as the user TEN runs as."),
    Trouble("key_missing", "key", _FAIL, "The server wants a key and got none.",
            "Set OPENAI_API_KEY or params.api_key."),
    Trouble("key_refused", "key", _FAIL, "The server does not take the key.",
            "Check {source} and whose service it is for."),
    Trouble("wrong_account", "account", _FAIL, "The organization or the project is not the key's, or does not exist.",
            "Check params.organization and params.project (OPENAI_ORG_ID, OPENAI_PROJECT_ID), or leave them out: the "
            "key knows its own."),
    Trouble("no_credit", "account", _FAIL, "The account has no credit left.",
            "Add credit, or use the key of another account."),
    Trouble("config_refused", "echo", _FAIL, "The server does not take the configuration.",
            "Change what it names: a property, the model (the server must have it), or params.dialect."),
    Trouble("echo_other", "echo", _FAIL, "The session has another model, format or turn detection than was asked: "
            "the extension sends no audio to it.",
            "Ask for what the server says it has, or for another model."),
    Trouble("echo_missing", "echo", _FAIL, "The server does not confirm the configuration.",
            "Give a server that loads its model first more with --timeout and params.connect_timeout_ms; else name "
            "its kind in params.dialect."),
    Trouble("echo_differs", "echo", _WARN, "The session has another value for an option than was asked.",
            "Remove the option, or check that the server takes it."),
    Trouble("unfit", "echo", _FAIL, "The server turns out to be of a kind that cannot do what was configured.",
            "{problems}"),
    Trouble("no_pong", "round_trip", _FAIL, "Pings are not answered, or too late: the extension would take the "
            "connection for dead, again and again.",
            "Find what stands between (a proxy that swallows control frames), or raise params.ping_timeout_ms."),
    Trouble("far_away", "round_trip", _WARN, "A round trip takes long, and every text comes that much later.",
            "Run it nearer to the server, or look at what stands between."),
    Trouble("clock_wrong", "clock", _WARN, "This machine's clock and the server's differ: short-lived secrets and "
            "certificates then fail now and then.",
            "Set the clock by NTP."),
    Trouble("no_text", "speech", _FAIL, "Clear speech went in and no text came out.",
            "Check the model and, for a server of your own, that it is loaded and hears 16-bit PCM; its log says "
            "more."),
    Trouble("not_transcribed", "speech", _FAIL, "The sample did not get through.",
            "{advice}"),
    Trouble("few_words", "speech", _WARN, "Text came, with few of the words that were said.",
            "The sample is English: check {setting} and the model."),
    Trouble("slow_text", "speech", _WARN, "The text comes long after the end of speech.",
            "Use a faster model or machine; params.turn_detection.silence_duration_ms is part of it."),
    Trouble("finalize_short", "speech", _WARN, "A finalize is answered before the text is there: it comes late.",
            "Raise params.finalize_timeout_ms above {needed}."),
    Trouble("check_failed", "any", _FAIL, "The doctor itself failed.",
            "Run it again with -v; please report it."),
)  # fmt: skip
"""In the order of the checks."""

TROUBLES = {trouble.name: trouble for trouble in _ALL}


def trouble(name: str, detail: str, **found: Any) -> Finding:
    """The finding of what is called *name* in `TROUBLES`; *found* fills in its remedy."""
    known = TROUBLES[name]
    stops = known.stops and known.status == "failed"
    return Finding(known.status, detail, known.remedy.format(**found), name, stops)
