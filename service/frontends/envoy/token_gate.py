"""Envoy's own look at a call's token, so that it holds no body of a call that Python will refuse.

Python decides on a call once it has its headers. A body in JSON is held by Envoy first (routes.py), and Python hears of
the call only once all is there. So Python writes down the hashes of its tokens, and a filter of Envoy compares. It
decides only whether the body is held. A call with another token goes to Python at once, which refuses it and says why.
Python refuses it too if it knows the token by then: it would wait for a body that nothing bounds.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.access.token_file import MOST_TOKEN_BYTES, Token
from service.errors import Unauthenticated
from service.frontends.envoy.message_header import NO_PLACE_HEADER
from service.frontends.envoy.routes import ORIGINAL_PATH

# Envoy alone writes them. A call in gRPC may have the first one for another reason.
_TURNED_AWAY, _WAS_JSON = NO_PLACE_HEADER.encode(), ORIGINAL_PATH.encode()

# The first 32 bits of the fractions of the cube and square roots of the first primes. Source: FIPS 180-4, section 4.2.2
# and 5.3.3.
_PRIMES = [n for n in range(2, 312) if all(n % divisor for divisor in range(2, n))]
_ROUNDS = ", ".join(str(int(prime ** (1 / 3) % 1 * 2**32)) for prime in _PRIMES)
_START = ", ".join(str(int(prime**0.5 % 1 * 2**32)) for prime in _PRIMES[:8])

# The file is read for each call in JSON, which costs many times as much. Its lines hold a hash and the second in which
# its token expires; during a change one token may have two, and the later end counts. Blanks are cut by a loop: with a
# pattern, a header of blanks would take the square of its length.
_SOURCE = """
local band, bnot, bxor, ror, rshift, tobit = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift, bit.tobit
local rounds, start = {%(rounds)s}, {%(start)s}

local function sha256(text)
  local bits = 8 * #text
  local padded = text .. "\\128" .. string.rep("\\0", (55 - #text) %% 64 + 4)
    .. string.char(rshift(bits, 24), band(rshift(bits, 16), 255), band(rshift(bits, 8), 255), band(bits, 255))
  local state, words = {unpack(start)}, {}
  for block = 1, #padded, 64 do
    for word = 1, 16 do
      local one, two, three, four = padded:byte(block + 4 * word - 4, block + 4 * word - 1)
      words[word] = ((one * 256 + two) * 256 + three) * 256 + four
    end
    for word = 17, 64 do
      local early, late = words[word - 15], words[word - 2]
      words[word] = tobit(words[word - 16] + words[word - 7]
        + bxor(ror(early, 7), ror(early, 18), rshift(early, 3)) + bxor(ror(late, 17), ror(late, 19), rshift(late, 10)))
    end
    local a, b, c, d, e, f, g, h = unpack(state)
    for round = 1, 64 do
      local one = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g))
        + rounds[round] + words[round])
      local two = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c))
      a, b, c, d, e, f, g, h = tobit(one + two), a, b, c, tobit(d + one), e, f, g
    end
    for place, value in ipairs({a, b, c, d, e, f, g, h}) do
      state[place] = tobit(state[place] + value)
    end
  end
  for place, value in ipairs(state) do
    state[place] = bit.tohex(value)
  end
  return table.concat(state)
end

local function is_listed(hash)
  local file = io.open(%(file)s, "rb")
  local hashes = file and file:read("*a") or ""
  if file then
    file:close()
  end
  local _, stop = hashes:find(hash, 1, true)
  while stop do
    if os.time() < tonumber(hashes:match("^ (%%d+)\\n", stop + 1)) then
      return true
    end
    _, stop = hashes:find(hash, stop + 1, true)
  end
  return false
end

local function bearer_token(given)
  local first, last = given:find("[^ \\t]", 8), #given
  while last > 7 and (given:byte(last) == 32 or given:byte(last) == 9) do
    last = last - 1
  end
  if first and last - first < %(most)d and given:sub(1, 7):lower() == "bearer " then
    return given:sub(first, last)
  end
end

function envoy_on_request(handle)
  local token = bearer_token(handle:headers():get("authorization") or "")
  if not (token and is_listed(sha256(token))) then
    handle:headers():add("%(header)s", "1")
    handle:clearRouteCache()
  end
end
"""


def source(folder: Path) -> str:
    """The filter in Lua. A call whose token Python would not find gets a header, and takes another route.

    Args:
        folder: Of :func:`write_tokens`.
    """
    file = "".join(f"\\{byte:03d}" for byte in os.fsencode(_file(folder)))
    numbers = {"rounds": _ROUNDS, "start": _START, "most": MOST_TOKEN_BYTES}
    return _SOURCE % {**numbers, "file": f'"{file}"', "header": NO_PLACE_HEADER}


def check_known(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a call in JSON whose token the filter did not find, although Python does: the tokens changed meanwhile.

    Nothing bounds the body of such a call, and Envoy hands over nothing of a JSON string before its end.

    Args:
        headers: Of a call whose token Python knows.

    Raises:
        Unauthenticated: The call has to be sent again.
    """
    if _TURNED_AWAY in headers and _WAS_JSON in headers:
        raise Unauthenticated("the token was unknown here when the call began, and is known now; send the call again")


def write_tokens(folder: Path, tokens: Sequence[Token]) -> None:
    """Write down the hashes of the tokens for Envoy, in one step.

    Args:
        folder: Envoy's own.
        tokens: All that Python takes now.
    """
    new = _file(folder).with_suffix(".new")
    new.write_text("".join(f"{each.digest.hex()} {_end(each)}\n" for each in tokens))
    os.replace(new, _file(folder))


def _end(token: Token) -> int:
    """The second at which a token has expired; 0 before 1970, 2**53 for never."""
    return 2**53 if token.expires is None else max(0, math.ceil(token.expires.timestamp()))


def _file(folder: Path) -> Path:
    return folder / "token-hashes"
