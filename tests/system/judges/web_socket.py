"""Both ends of a WebSocket, by the `websockets` library: `echo` serves on a free port and prints it; `visit URL [CA]` plays
every case against it through what stands between, and prints one line for each."""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

LARGEST = 32 * 1024 * 1024
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20]
# What either side may say (RFC 6455 section 7.4).
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
# Far above what anything needs, also on a slow and busy machine.
PATIENCE = 180

ended = {}


async def answer(socket):
    """Echoes messages; does what the words of a case say."""
    name = socket.request.path
    try:
        async for message in socket:
            if isinstance(message, str) and message.startswith("close "):
                await socket.close(int(message.split()[1]), "as you wish")
            elif message == "abort":
                socket.transport.abort()
            elif message == "pieces":
                await socket.send([b"a" * 70000, b"", b"b", b"c" * 125])
            elif message == "ping":
                await (await socket.ping(b"are you there?"))
                await socket.send("pong came")
            elif isinstance(message, str) and message.startswith("how ended "):
                path = message.removeprefix("how ended ")
                if path not in ended:
                    ended[path] = asyncio.get_running_loop().create_future()
                await socket.send(str(await ended[path]))
            else:
                await socket.send(message)
    finally:
        # The code that came, or 1006 where the visitor left without a word.
        if name not in ended:
            ended[name] = asyncio.get_running_loop().create_future()
        if not ended[name].done():
            ended[name].set_result(socket.close_code)


async def echo():
    async with serve(answer, "127.0.0.1", 0, max_size=LARGEST, ping_interval=None, open_timeout=PATIENCE, close_timeout=PATIENCE) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def closed_with(socket):
    try:
        await socket.recv()
    except (ConnectionClosedOK, ConnectionClosedError):
        return socket.close_code
    raise AssertionError("a message where the end was to come")


async def sizes(socket):
    for size in SIZES:
        data = bytes(i % 251 for i in range(min(size, 70000))) * (size // 70000 + 1)
        for message in (data[:size], "é" * (size // 2) + "x" * (size % 2)):
            await socket.send(message)
            assert await socket.recv() == message, size


async def fragments(socket):
    for pieces in (["a", "", "b"], [b"x"] * 300, [b"", b""], [bytes(65536)] * 20, ["é" * 40000, "ü"]):
        await socket.send(pieces)
        assert await socket.recv() == pieces[0][:0].join(pieces), len(pieces)
    # The library ends a message with an empty piece of its own.
    await socket.send("pieces")
    assert [len(piece) async for piece in socket.recv_streaming()] == [70000, 0, 1, 125, 0]


async def pings(socket):
    for size in range(126):
        await (await socket.ping(bytes([size]) * size))
    await socket.pong(b"nobody asked")
    # A ping between the pieces of a message.
    async def pieces():
        yield "first "
        await (await socket.ping(b"between"))
        yield "last"
    await socket.send(pieces())
    assert await socket.recv() == "first last"
    await socket.send("ping")
    assert await socket.recv() == "pong came"


async def thousand(socket):
    async def write():
        for number in range(1000):
            await socket.send(f"message {number}")
    writing = asyncio.create_task(write())
    for number in range(1000):
        assert await socket.recv() == f"message {number}"
    await writing


async def visit(url, authority):
    context = None
    if authority:
        context = ssl.create_default_context(cafile=authority)
    more = {"server_hostname": "shop.example", "ssl": context} if authority else {}
    count = 0

    def opened(compression="deflate"):
        nonlocal count
        count += 1
        return connect(
            f"{url}/live/{count}", max_size=LARGEST, proxy=None, ping_interval=None, compression=compression,
            open_timeout=PATIENCE, close_timeout=PATIENCE, **more
        )

    async def how_ended(number):
        async with opened() as other:
            await other.send(f"how ended /live/{number}")
            return int(await other.recv())

    for compression in (None, "deflate"):
        for case in (sizes, fragments, pings, thousand):
            async with asyncio.timeout(PATIENCE), opened(compression) as socket:
                names = [extension.name for extension in socket.protocol.extensions]
                assert names == (["permessage-deflate"] if compression else []), names
                await case(socket)
            assert socket.close_code == 1000
            print(f"{case.__name__} {compression or 'plain'}", flush=True)
    for code in CODES:
        async with asyncio.timeout(PATIENCE), opened() as socket:
            number = count
            await socket.close(code, "enough")
            assert await how_ended(number) == code, code
        async with asyncio.timeout(PATIENCE), opened() as socket:
            await socket.send(f"close {code}")
            assert await closed_with(socket) == code and socket.close_reason == "as you wish", code
    print("codes", flush=True)
    async with asyncio.timeout(PATIENCE), opened() as socket:
        number = count
        socket.transport.abort()
        assert await how_ended(number) == 1006
    async with asyncio.timeout(PATIENCE), opened() as socket:
        await socket.send("abort")
        assert await closed_with(socket) == 1006
    print("unclean", flush=True)


if sys.argv[1] == "echo":
    asyncio.run(echo())
else:
    asyncio.run(visit(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None))
