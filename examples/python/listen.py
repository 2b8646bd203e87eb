"""Follows a conversation over graphql-transport-ws, each event exactly once. Requires aiohttp."""

import asyncio
import os
import random

import aiohttp

URL = os.environ.get("PARLEY_URL", "http://127.0.0.1:4000") + "/graphql"

LOG_IN = """
mutation ($email: String!, $password: String!) {
  login(email: $email, password: $password) { token }
}
"""

CONVERSATION_EVENTS = """
subscription ($id: ID!, $after: Cursor) {
  conversationEvents(conversationId: $id, after: $after) {
    __typename
    cursor
    ... on MessageSent { message { text } }
  }
}
"""


class StreamEnded(Exception):
    """The server ended the stream: see docs/errors.md for the reasons."""


async def log_in(session):
    variables = {"email": "ann@example.com", "password": "parley"}
    async with session.post(URL, json={"query": LOG_IN, "variables": variables}) as response:
        return (await response.json())["data"]["login"]["token"]


async def connect(session, token, variables):
    """Yields events until the connection is lost."""
    async with session.ws_connect(URL, protocols=["graphql-transport-ws"], heartbeat=30) as socket:
        await socket.send_json({"type": "connection_init", "payload": {"token": token}})
        async for frame in socket:
            message = frame.json()
            if message["type"] == "connection_ack":
                payload = {"query": CONVERSATION_EVENTS, "variables": variables}
                await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
            elif message["type"] == "ping":
                await socket.send_json({"type": "pong"})
            elif message["type"] == "next":
                yield message["payload"]["data"]["conversationEvents"]
            elif message["type"] == "error":
                raise StreamEnded(message["payload"])
        if socket.close_code in (4401, 4403):
            raise StreamEnded(socket.close_code)


async def main():
    variables = {"id": "Conversation:1", "after": None}
    async with aiohttp.ClientSession() as session:
        token = os.environ.get("PARLEY_TOKEN") or await log_in(session)
        while True:
            try:
                async for event in connect(session, token, variables):
                    variables["after"] = event["cursor"]
                    if event["__typename"] == "MessageSent":
                        print("MessageSent", event["message"]["text"], flush=True)
                    else:
                        print(event["__typename"], flush=True)
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(random.uniform(0.5, 3))


asyncio.run(main())
