"""The message of a call in a header, from Envoy to Python.

pyvoy hands Python a call's headers, and its body when Python asks for it: the question wakes Envoy's thread, that wakes
pyvoy's, and that Python's again. Where a call has one message and it is small, a filter of Envoy waits for it and puts
it into a header, so that Python has all it needs at once. Larger ones, and those of streams, come as a body.
"""

import binascii
from collections.abc import Mapping

from service.rpc.limits import WAITING_BODIES

# Envoy drops what a caller sends under that name before anything else.
HEADER = b"x-kan-message"

# What a filter puts into a call that it does not wait for, which takes another route: Envoy then holds no more of its
# body than of any other. Dropped like the other.
NO_PLACE_HEADER = "x-kan-no-place"

# Methods with one message that is worth the while: those that carry rows.
PATHS = (
    "/kan_api.v1.PredictionService/Predict",
    "/kan_api.v1.PredictionService/Explain",
    "/inference.GRPCInferenceService/ModelInfer",
)

# In base64 it takes a third more, in memory that Envoy and Python hold twice.
_MAX_BODY_BYTES = 64 * 1024

# The filter in Lua; source of the calls: Envoy's Lua filter. The headers are fetched after the body: objects do not
# outlive a wait. Nobody tells the filter of a call that ends while it waits: its coroutine is garbage then, and leaves
# the table, whose keys are weak. A collection takes longer than a call: there is one for every 64th call that finds no
# place.
SOURCE = f"""
local waiting = setmetatable({{}}, {{__mode = "k"}})
local count, turned_away = 0, 0

local function has_place()
  if count < {WAITING_BODIES} then
    return true
  end
  turned_away = turned_away + 1
  if turned_away % 64 ~= 1 then
    return false
  end
  collectgarbage()
  count = 0
  for _ in pairs(waiting) do
    count = count + 1
  end
  return count < {WAITING_BODIES}
end

function envoy_on_request(handle)
  if not has_place() then
    handle:headers():add("{NO_PLACE_HEADER}", "1")
    handle:clearRouteCache()
    return
  end
  local call = coroutine.running()
  waiting[call] = true
  count = count + 1
  local body = handle:body()
  waiting[call] = nil
  count = count - 1
  if body and body:length() <= {_MAX_BODY_BYTES} then
    handle:headers():add("{HEADER.decode()}", handle:base64Escape(body:getBytes(0, body:length())))
  end
end
"""


def body_in(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The body that came as a header; None: it comes as a body."""
    encoded = headers.get(HEADER)
    return None if encoded is None else binascii.a2b_base64(encoded)
