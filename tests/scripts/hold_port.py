# SPDX-License-Identifier: MIT
# Holds a free port on loopback and prints its number, until it is killed: `listening` accepts connections,
# `refusing` only binds, `full` has a backlog in which no further connection fits.
import signal
import socket
import sys

kind = sys.argv[1]
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
address = listener.getsockname()
waiting = []
if kind == "listening":
    listener.listen(16)
elif kind == "full":
    listener.listen(0)
    while True:
        waiting.append(socket.socket())
        waiting[-1].settimeout(0.5)
        try:
            waiting[-1].connect(address)
        except OSError:
            break
print(address[1], flush=True)
signal.pause()
