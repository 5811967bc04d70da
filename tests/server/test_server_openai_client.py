"""The provider's own Python client talks to the local server as to the real one."""

from __future__ import annotations

import base64

from openai import AsyncOpenAI
from server_peers import speech
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer

KEY = "sk-right-key"


async def test_the_providers_client_gets_its_transcript() -> None:
    async with LocalServer(port=0, recognizer=ScriptedRecognizer(["all hands on deck"]), api_key=KEY) as server:
        base = server.url.replace("ws:", "http:")
        async with AsyncOpenAI(api_key=KEY, base_url=base) as openai:
            async with openai.realtime.connect(extra_query={"intent": "transcription"}) as connection:
                kinds = []
                async for event in connection:
                    kinds.append(event.type.rpartition(".")[2])
                    if event.type == "session.created":
                        audio = {"input": {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": None}}
                        await connection.session.update(session={"type": "transcription", "audio": audio})
                    elif event.type == "session.updated":
                        encoded = base64.b64encode(speech(300)).decode()
                        await connection.input_audio_buffer.append(audio=encoded)
                        await connection.input_audio_buffer.commit()
                    elif event.type.endswith("completed"):
                        break
    assert kinds == ["created", "updated", "committed", "added", "done", *["delta"] * 4, "completed"]
    assert event.transcript == "all hands on deck"
    assert event.usage is not None and event.usage.type == "tokens"
