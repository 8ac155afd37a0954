"""What other processes run in `bench/workflows.py`: the tasks of each engine, and the driver that launches its graphs."""

TASKS = """
import time, redis
_clients = {}
def client():
    if URL not in _clients:
        _clients[URL] = redis.Redis.from_url(URL, socket_timeout=None)
    return _clients[URL]

@app.task(name="bench.one", **KEEP)
def one(*args):
    return 1

@app.task(name="bench.mark", **KEEP)
def mark(*args):
    client().lpush(args[-1], time.monotonic())
"""

OURS = (
    """
import os
from image.celery import app
URL, KEEP = os.environ["REDIS_URL"], {"ignore_result": False}
"""
    + TASKS
)

KOMBU = """
from image.settings import *
JOBROOM = {**JOBROOM, "TAKE_IN_ONE_STEP": False}
"""

PEER = (
    """
import os
from celery import Celery
URL = os.environ["REDIS_URL"]
KEEP = {"ignore_result": not os.environ.get("PEER_RESULTS")}
app = Celery("peer", broker=URL, backend=URL if os.environ.get("PEER_RESULTS") else None, set_as_current=True)
app.conf.update(result_expires=3600, broker_connection_retry_on_startup=True)
"""
    + TASKS
    + '''
COUNT = """
local ready = redis.call('HGET', KEYS[1] .. ':c', ARGV[1])
if ready then
  for child in string.gmatch(ready, '%d+') do
    if redis.call('HINCRBY', KEYS[1] .. ':w', child, -1) == 0 then
      redis.call('LPUSH', 'celery', redis.call('HGET', KEYS[1] .. ':m', child))
    end
  end
end
"""

@app.task(name="bench.node", ignore_result=True)
def node(run, number, key):
    client().register_script(COUNT)([run], [number])
    if key:
        client().lpush(key, time.monotonic())

try:
    from celery_dyrygent.tasks import register_workflow_processor
    register_workflow_processor(app)
except ImportError:
    pass
'''
)

DRIVER = """
import json, sys, time, uuid
engine = sys.argv[1]
if engine == "ours":
    import django
    django.setup()
    import bench_ours as tasks
else:
    import bench_peer as tasks
from celery import chain, group
app, one, mark = tasks.app, tasks.one, tasks.mark

def ours(name, graph, key):
    from jobroom.workflows.workflows import Workflow
    wf = Workflow(name=name)
    if name.startswith("chain"):
        wf.add_celery_canvas(chain(*[one.s() for _ in range(len(graph) - 1)], mark.s(key)))
    elif name.startswith("fan"):
        wf.add_celery_canvas(chain(one.s(), group(one.s() for _ in range(len(graph) - 2)), mark.s(key)))
    else:
        nodes = []
        for number, parents in enumerate(graph):
            sig = one.si(*[nodes[p].result for p in parents]) if number < len(graph) - 1 else mark.si(key)
            nodes.append(wf.add_signature(sig, [nodes[p] for p in parents]))
    wf.check()
    began = time.monotonic()
    from unittest import mock
    from jobroom.workflows import services
    wf.freeze()
    stored = {}
    real = services.loader.load
    def load(*a):
        stored["at"] = time.monotonic()
        return real(*a)
    with mock.patch.object(services.loader, "load", load):
        wf.apply_async()
    end = time.monotonic()
    return began, end, end - stored["at"]

def floor(name, graph, key):
    from kombu.utils.json import dumps
    run = uuid.uuid4().hex
    began = time.monotonic()
    children, waits = {}, {}
    for number, parents in enumerate(graph):
        waits[number] = len(parents)
        for parent in parents:
            children.setdefault(parent, []).append(str(number))
    def message(number):
        job = str(uuid.uuid4())
        body = [[run, number, key if number == len(graph) - 1 else ""], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        import base64
        return dumps({"body": base64.b64encode(dumps(body).encode()).decode(), "content-encoding": "utf-8", "content-type": "application/json",
            "headers": {"lang": "py", "task": "bench.node", "id": job, "shadow": None, "eta": None, "expires": None, "group": None,
                "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": job, "parent_id": None, "argsrepr": "()",
                "kwargsrepr": "{}", "origin": "floor", "ignore_result": True, "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {}},
            "properties": {"correlation_id": job, "reply_to": str(uuid.uuid4()), "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4())}})
    messages = {number: message(number) for number in range(len(graph))}
    with tasks.client().pipeline(transaction=False) as pipe:
        pipe.hset(run + ":w", mapping=waits)
        if children:
            pipe.hset(run + ":c", mapping={p: ",".join(c) for p, c in children.items()})
        pipe.hset(run + ":m", mapping=messages)
        for number, parents in enumerate(graph):
            if not parents:
                pipe.lpush("celery", messages[number])
        pipe.execute()
    end = time.monotonic()
    return began, end, end - began

def canvas(name, graph, key):
    if name.startswith("chain"):
        found = chain(*[one.si() for _ in range(len(graph) - 1)], mark.si(key))
    elif name.startswith("fan"):
        found = chain(one.si(), group(one.si() for _ in range(len(graph) - 2)), mark.s(key))
    else:
        found = chain(*[group(one.si() for _ in range(50)) for _ in range((len(graph) - 1) // 50)], mark.si(key))
    began = time.monotonic()
    found.apply_async()
    end = time.monotonic()
    return began, end, end - began

def plain(name, graph, key):
    for _ in range(len(graph) - 1):
        one.apply_async(queue="stage")
    mark.apply_async((key,), queue="stage")
    began = time.monotonic()
    tasks.client().rename("stage", "celery")
    return began, began, 0.0

def dyrygent(name, graph, key):
    from celery_dyrygent.workflows import Workflow
    wf = Workflow()
    wf.set_retry_policy("random", 1, 1)
    nodes = []
    for number, parents in enumerate(graph):
        sig = (one.si() if number < len(graph) - 1 else mark.si(key)).set(ignore_result=False)
        sig.freeze()
        nodes.append(wf.add_signature(sig, [nodes[p] for p in parents]))
    began = time.monotonic()
    wf.apply_async()
    end = time.monotonic()
    return began, end, end - began

for line in sys.stdin:
    name, graph, key = json.loads(line)
    print(json.dumps(globals()[engine](name, graph, key)), flush=True)
"""
