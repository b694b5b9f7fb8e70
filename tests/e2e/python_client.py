#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python_client.py HOST:PORT: a Weft client, written from PROTOCOL.md ("section" refers to it) and VALUES.md."""
import os, socket, sys, time
import msgpack, zmq

MAJOR, MINOR = 2, 1  # the version of the protocol that this client speaks; section 2 has the types of messages:
HELLO, WELCOME, REFUSE, HEARTBEAT, GOODBYE, DEFINE, SUBMIT, SYNCED, ACK, DELIVER = 1, 3, 4, 5, 6, 7, 9, 11, 13, 15
LIBRARY, FINAL, CHARGED, OK = 1, 0, 1, 0  # section 10: a TaskKind, both DeliveryKinds, an Outcome
OUTCOMES = "ok failed crashed timed_out cancelled cannot_start unschedulable not_fetched refused".split()
FIELDS = {  # section 10: what this client reads, as (name, type) or, of optional fields, (name, type, default)
    WELCOME: [("epoch", int), ("heartbeat_ms", int), ("liveness", int), ("resumed", bool, False), ("received", int, 0)],
    REFUSE: [("code", int), ("text", str)], GOODBYE: [("reason", str)], DELIVER: [("first", int)],
    "DeliveryRecord": [("seq", int), ("kind", int), ("outcome", int), ("retries_used", int), ("crashes", int),
                       ("payload", bytes)],  # a blob would be a list; no task here returns one
    "ErrorInfo": [("type", str), ("message", str), ("worker", str, "")]}  # and fields that this client ignores
CALLS = [  # a task of libtasks.so, its signature (VALUES.md, section 2), arguments, and repr of the result or outcome
    ("count_primes", "long(long,long)", [0, 100], "25"),
    ("mean", "double(std::vector<double>)", [[1.0, 2.5]], "1.75"),
    ("mean", "double(std::vector<double>)", [bytes.fromhex("000000000000f03f0000000000001440")], "3.0"),  # raw: 1, 5
    ("reversed", "std::string(std::string)", ["Weft\udcff"], r"'\udcfftfeW'"),  # ends with a byte ff: it is not UTF-8
    ("mean", "double(std::vector<double>)", [[]], "failed"),  # it throws
    ("fib", "int(int)", [10], "failed")]  # wrong signature
pack = msgpack.Packer(use_bin_type=True, unicode_errors="surrogateescape").pack

def unpack(data):  # the consecutive values, as a list
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="surrogateescape")
    unpacker.feed(data)
    values = list(unpacker)
    if not values or unpacker.tell() != len(data):
        raise ValueError("malformed: the msgpack ends early")
    return values

def read(record, array, may_be_longer):
    """Section 1, "Fields": the array as a dict. Missing optional fields get their default, surplus is skipped."""
    if type(array) is not list or len(array) > len(FIELDS[record]) and not may_be_longer:
        raise ValueError(f"malformed {record} (section 10): {array!r}")
    values = {}
    for position, (name, kind, *default) in enumerate(FIELDS[record]):
        values[name] = array[position] if position < len(array) else default[0] if default else None
        if type(values[name]) is not kind:
            raise ValueError(f"malformed {record} (section 10): {name} is {values[name]!r}")
    return values

def take_apart(frame):
    """A frame (section 1) as the type of the message, its fields, and its records, which are not decoded yet."""
    if len(frame) < 8 or frame[:4] != b"WEFT":
        raise ConnectionError("this is not a Weft broker")
    major, minor, message = frame[4:7]
    if major != MAJOR:
        raise ConnectionError(f"the broker speaks Weft protocol {major}.{minor} and not, as this client, {MAJOR}.x")
    if message not in FIELDS:
        return message, {}, []  # RECEIVED, RUNNING, newer types: this client needs none of them
    fields, *records = unpack(frame[8:])
    if records and message != DELIVER:
        raise ValueError("malformed: bytes are left over")
    return message, read(message, fields, may_be_longer=minor > MINOR), records

class Connection:
    """A DEALER that sends and receives messages, and heartbeats as section 4 says."""
    def __init__(self, address):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.connect("tcp://" + address)
        self.sent = self.heard = time.monotonic()
        self.interval = self.patience = 10  # seconds, until WELCOME sets them

    def send(self, message, fields, *records):
        self.socket.send(b"WEFT" + bytes([MAJOR, MINOR, message, 0]) + b"".join(map(pack, [fields, *records])))
        self.sent = time.monotonic()

    def receive(self):
        while True:
            due = min(self.sent + self.interval, self.heard + self.patience)
            came, now = self.socket.poll(max(0, due - time.monotonic()) * 1000 + 1), time.monotonic()
            if came or now > due + self.interval:  # any message is a sign of life; if so late, we were frozen
                self.heard = now
            if now >= self.heard + self.patience:
                raise ConnectionError(f"the broker was silent for {self.patience:g} s")
            if now >= self.sent + self.interval:
                self.send(HEARTBEAT, [])
            if came:
                message, fields, records = take_apart(self.socket.recv())
                if message in (REFUSE, GOODBYE):
                    raise ConnectionError(f"the broker ends this: {list(fields.values())[-1]}")  # its text
                return message, fields, records

def say_hello(connection):
    """Section 4, "A client joins": a new session, so the optional fields `epoch` and `delivered` are left out."""
    connection.send(HELLO, [os.urandom(16), "python_client", socket.gethostname(), os.getpid()])
    message, welcome, _ = connection.receive()
    if message != WELCOME:
        raise ConnectionError(f"the answer to HELLO has type {message}")
    connection.interval = welcome["heartbeat_ms"] / 1000
    connection.patience = connection.interval * welcome["liveness"]

def submit(connection):
    """DEFINE the specs; SYNCED (section 4), as nothing is to be announced again; SUBMIT, all calls in one frame."""
    specs = sorted({call[:2] for call in CALLS})
    for number, (task, signature) in enumerate(specs):
        spec = [LIBRARY, ["", bytes(32), 0], [], 0, task, signature, "from Python", 0, 1]  # label, priority, retries
        connection.send(DEFINE, [number, spec])
    connection.send(SYNCED, [])
    connection.send(SUBMIT, [], *([seq, specs.index(call[:2]), pack(call[2])] for seq, call in enumerate(CALLS, 1)))

def take_one(delivery):
    """Prints a delivery and checks it: its payload is the result or an ErrorInfo (VALUES.md, section 1)."""
    task, _, arguments, wanted = CALLS[delivery["seq"] - 1]
    value, *rest = unpack(delivery["payload"])
    if delivery["outcome"] == OK:
        answer, text = repr(value), f"= {value!r}"
    else:
        error = read("ErrorInfo", value, may_be_longer=True)  # from a worker: the header does not tell its version
        answer = OUTCOMES[delivery["outcome"]] if delivery["outcome"] < len(OUTCOMES) else "a newer outcome"
        again = " (and is tried again)" if delivery["kind"] == CHARGED else ""
        text = f"{answer} on {error['worker']}{again}: {error['type'] or 'no exception'}: {error['message']}"
    print(f"{delivery['seq']}: {task}({', '.join(map(repr, arguments))}) {text}", flush=True)
    if rest or answer != wanted:
        raise ValueError(f"task {delivery['seq']} should have given {wanted}")

def take_results(connection):
    """Section 5: deliveries have numbers, and an ACK is for all up to its own. Every task has one final delivery."""
    open_tasks, delivered = set(range(1, len(CALLS) + 1)), 0
    while open_tasks:
        message, fields, records = connection.receive()
        if message == DELIVER:
            if fields["first"] > delivered + 1:
                raise ValueError(f"delivery {fields['first']} follows {delivered}")
            for number, record in enumerate(records, fields["first"]):
                delivery = read("DeliveryRecord", record, may_be_longer=True)  # it is forwarded with its tail
                if number > delivered and delivery["seq"] in open_tasks and delivery["kind"] in (FINAL, CHARGED):
                    take_one(delivery)
                    open_tasks -= {delivery["seq"]} if delivery["kind"] == FINAL else set()
                delivered = max(delivered, number)
            connection.send(ACK, [delivered])

def main():
    try:
        connection = Connection(sys.argv[1])
        say_hello(connection)
        submit(connection)
        take_results(connection)
        connection.send(GOODBYE, ["done"])
        print("ok")
    except (ConnectionError, ValueError, zmq.ZMQError) as error:
        sys.exit(f"python_client: {str(error) or 'malformed msgpack'}")  # exit code 1
    finally:
        zmq.Context.instance().destroy(linger=1000)  # ms for what is still to be sent, such as GOODBYE

if __name__ == "__main__":
    main()
