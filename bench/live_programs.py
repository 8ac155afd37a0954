"""What other processes run in `bench/live_push.py`: what publishes, and the two servers that are measured beside ours."""

PUBLISHER = """
import json, sys, time
import redis
url, channel, count, rate, kind, form, job = sys.argv[1:]
client = redis.Redis.from_url(url)
pack = None
if form == "pubsub":
    import msgpack
    pack = lambda text: msgpack.packb({"type": "tick", "d": text})
base, due = int(time.time() * 1000) * 4096, time.monotonic()
began = time.monotonic()
for number in range(int(count)):
    if float(rate):
        due += 1 / float(rate)
        time.sleep(max(0.0, due - time.monotonic()))
    text = json.dumps({"seq": base + number, "type": kind, "job": job, "at": time.monotonic(), "execution": "x",
                       "fraction": number / int(count), "current": number, "total": int(count),
                       "message": "Reading rows", "level": "info", "stage": ""}, separators=(",", ":"))
    client.publish(channel, pack(text) if pack else text)
print(time.monotonic() - began)
"""

DIRECT = """
import asyncio, os
import redis.asyncio
sockets, started = set(), []

async def listen():
    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=None)
    pubsub = client.pubsub()
    await pubsub.subscribe("direct:p")
    async for message in pubsub.listen():
        if message["type"] == "message":
            event = {"type": "websocket.send", "text": message["data"].decode()}
            for queue in list(sockets):
                queue.put_nowait(event)

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
        return
    if not started:
        started.append(asyncio.ensure_future(listen()))
        await asyncio.sleep(0.3)
    await receive()
    queue = asyncio.Queue()
    sockets.add(queue)
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "{}"})
    async def pump():
        while True:
            await send(await queue.get())
    task = asyncio.ensure_future(pump())
    try:
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        sockets.discard(queue)
        task.cancel()
"""

PUBSUB = """
import os
from django.conf import settings
settings.configure(SECRET_KEY="x", INSTALLED_APPS=[], CHANNEL_LAYERS={"default": {
    "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [os.environ["REDIS_URL"]]}}})
import django
django.setup()
from channels.generic.websocket import AsyncWebsocketConsumer

class Progress(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("p", self.channel_name)
        await self.accept()
        await self.send("{}")
    async def disconnect(self, code):
        await self.channel_layer.group_discard("p", self.channel_name)
    async def tick(self, event):
        await self.send(event["d"])

sockets = Progress.as_asgi()

async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await sockets(scope, receive, send)
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
"""
