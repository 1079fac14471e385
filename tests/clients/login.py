"""One ssh connection by asyncssh, and what was on its wire, line by line.

    login.py PORT USER KEY ANSWERS

KEY is a private key, or empty. ANSWERS is a JSON list: one answer for each prompt, of which the last one goes on for ever. A
client that is refused starts keyboard-interactive again for as long as the server offers it. Each line of the output is JSON:
["begins"], ["asks", [[prompt, shown], …]], ["tells", text], ["entered"] or ["refused", why].
"""

import asyncio
import json
import sys

import asyncssh

PATIENCE = 60  # seconds, a watchdog


def say(*words):
    print(json.dumps(words), flush=True)


class Client(asyncssh.SSHClient):
    def __init__(self, answers):
        self.answers = answers

    def kbdint_auth_requested(self):
        say("begins")
        return ""

    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        for text in (name, instructions):
            if text:
                say("tells", text)
        say("asks", prompts)
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0] for _ in prompts]

    def auth_banner_received(self, text, lang):
        say("tells", text)


async def login(port, user, key, answers):
    connection, _ = await asyncssh.create_connection(
        lambda: Client(json.loads(answers)),
        "127.0.0.1",
        int(port),
        username=user,
        client_keys=[key] if key else [],
        known_hosts=None,
        config=[],
        agent_path=None,
        gss_host=None,
        preferred_auth=["publickey", "keyboard-interactive"],
    )
    async with connection:
        await connection.run("true")
        say("entered")


try:
    asyncio.run(asyncio.wait_for(login(*sys.argv[1:]), PATIENCE))
except asyncssh.PermissionDenied as error:
    say("refused", error.reason)
except asyncssh.DisconnectError as error:
    say("refused", error.reason)
