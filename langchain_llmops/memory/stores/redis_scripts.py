"""What the server runs whole: the steps of a log in Redis, in Lua.

Every script gets the prefix of all keys as its only key; the names of the others are
made from it, since they depend on the life of the session, which only the server knows.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "APPEND",
    "DELETE",
    "DELETE_IDLE",
    "FETCH",
    "HEAD",
    "IDLE",
    "LIST",
    "MATCHING",
    "PACK",
    "SEAL",
    "SUMMARIES",
    "SWAP_SUMMARIES",
    "UNPACK",
    "WARM_SEGMENTS",
]

_LIBRARY: Final = """
local prefix = KEYS[1]
local by_update, by_touch = prefix .. 'updated', prefix .. 'touched'
local function head_of(session) return prefix .. 'head:' .. session end
local function of(life, what) return prefix .. what .. ':' .. life end
local FIELDS = {'born', 'length', 'tokens', 'created', 'updated', 'touched', 'revision'}
local function read_head(session)
  local head = redis.call('hmget', head_of(session), unpack(FIELDS))
  if not head[1] then
    return false
  end
  table.insert(head, 1, session)
  return head
end
local function session_of(life) return redis.call('get', of(life, 'session')) end
local function untouched(life, length, touched)
  local session = session_of(life)
  if not session then
    return false
  end
  local head = redis.call('hmget', head_of(session), 'length', 'touched')
  return head[1] == length and head[2] == touched and session
end
local function remove(session)
  local life = redis.call('hget', head_of(session), 'born')
  redis.call('zrem', by_update, session)
  redis.call('zrem', by_touch, session)
  if not life then
    return 0
  end
  redis.call('unlink', head_of(session), of(life, 'rows'), of(life, 'segments'),
    of(life, 'summaries'), of(life, 'session'))
  return 1
end
"""

HEAD: Final = f"{_LIBRARY} return read_head(ARGV[1])"

# session, born, expected or '', now, tokens, receipt, rows…
APPEND: Final = f"""{_LIBRARY}
local session, now = ARGV[1], ARGV[4]
local receipt = prefix .. 'receipt:' .. ARGV[6]
local key, done = head_of(session), redis.call('get', receipt)
if done then  -- asked twice, since the first answer was lost
  local head = read_head(session)
  if head then
    head[3] = done
  end
  return head
end
local length = tonumber(redis.call('hget', key, 'length') or '0')
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= length then
  return length
end
local life = redis.call('hget', key, 'born')
if not life then
  life = ARGV[2]
  redis.call('hset', key, 'born', life, 'created', now, 'revision', '0')
  redis.call('set', of(life, 'session'), session)
end
for place = 7, #ARGV do
  redis.call('hset', of(life, 'rows'), length, ARGV[place])
  length = length + 1
end
redis.call('hset', key, 'length', length, 'updated', now, 'touched', now)
redis.call('hincrby', key, 'tokens', ARGV[5])
redis.call('zadd', by_update, now, session)
redis.call('zadd', by_touch, now, session)
redis.call('set', receipt, length, 'ex', 60)
return read_head(session)
"""

# life, start, stop, messages per segment
FETCH: Final = f"""{_LIBRARY}
local life, block = ARGV[1], tonumber(ARGV[4])
local rows, segments, last = {{}}, {{}}, -1
for seq = tonumber(ARGV[2]), tonumber(ARGV[3]) - 1 do
  local row = redis.call('hget', of(life, 'rows'), seq)
  if row then
    rows[#rows + 1] = seq
    rows[#rows + 1] = row
  elseif math.floor(seq / block) > last then
    last = math.floor(seq / block)
    local segment = redis.call('hget', of(life, 'segments'), last)
    if segment then
      segments[#segments + 1] = last
      segments[#segments + 1] = segment
    end
  end
end
return {{rows, segments}}
"""

# how many, and the place of the last one seen: updated, session ('' for none)
LIST: Final = f"""{_LIBRARY}
local most, found, from = tonumber(ARGV[1]), {{}}, 0
local highest = ARGV[2] == '' and '+inf' or ARGV[2]
while #found < most do
  local page = redis.call('zrevrangebyscore', by_update, highest, '-inf',
    'withscores', 'limit', from, most)
  for n = 1, #page, 2 do
    local seen = ARGV[2] ~= '' and tonumber(page[n + 1]) == tonumber(ARGV[2])
      and page[n] >= ARGV[3]
    if not seen and #found < most then
      found[#found + 1] = read_head(page[n]) or nil
    end
  end
  from = from + most
  if #page < 2 * most then
    break
  end
end
return found
"""

DELETE: Final = f"{_LIBRARY} return remove(ARGV[1])"

DELETE_IDLE: Final = f"""{_LIBRARY}
local gone = 0
for _, session in ipairs(redis.call('zrangebyscore', by_update, '-inf', ARGV[1],
    'limit', 0, ARGV[2])) do
  gone = gone + remove(session)
end
return gone
"""

IDLE: Final = f"""{_LIBRARY}
local found = {{}}
for _, session in ipairs(redis.call('zrangebyscore', by_touch, '-inf', ARGV[1],
    'limit', 0, ARGV[2])) do
  found[#found + 1] = read_head(session) or nil
end
return found
"""

WARM_SEGMENTS: Final = f"""{_LIBRARY}
local seen, found = {{}}, {{}}
for _, seq in ipairs(redis.call('hkeys', of(ARGV[1], 'rows'))) do
  local number = math.floor(tonumber(seq) / tonumber(ARGV[2]))
  if not seen[number] then
    seen[number] = true
    found[#found + 1] = number
  end
end
return found
"""

# life, length, touched, number, messages per segment, segment
PACK: Final = f"""{_LIBRARY}
if not untouched(ARGV[1], ARGV[2], ARGV[3]) then
  return 0
end
redis.call('hset', of(ARGV[1], 'segments'), ARGV[4], ARGV[6])
local first = tonumber(ARGV[4]) * tonumber(ARGV[5])
for seq = first, first + tonumber(ARGV[5]) - 1 do
  redis.call('hdel', of(ARGV[1], 'rows'), seq)
end
return 1
"""

SEAL: Final = f"""{_LIBRARY}
local session = untouched(ARGV[1], ARGV[2], ARGV[3])
return session and redis.call('zrem', by_touch, session) or 0
"""

# life, number, segment, now, seq of the first row, rows…
UNPACK: Final = f"""{_LIBRARY}
local life, session = ARGV[1], session_of(ARGV[1])
local segments = of(life, 'segments')
if not session or redis.call('hget', segments, ARGV[2]) ~= ARGV[3] then
  return 0
end
redis.call('hdel', segments, ARGV[2])
for place = 6, #ARGV do
  redis.call('hsetnx', of(life, 'rows'), tonumber(ARGV[5]) + place - 6, ARGV[place])
end
redis.call('hset', head_of(session), 'touched', ARGV[4])
redis.call('zadd', by_touch, ARGV[4], session)
return 1
"""

SUMMARIES: Final = f"{_LIBRARY} return redis.call('hgetall', of(ARGV[1], 'summaries'))"

# life, revision, start, body, starts of those that go…
SWAP_SUMMARIES: Final = f"""{_LIBRARY}
local session, summaries = session_of(ARGV[1]), of(ARGV[1], 'summaries')
if not session
    or redis.call('hget', head_of(session), 'revision') ~= ARGV[2] then
  return 0
end
for place = 5, #ARGV do
  redis.call('hdel', summaries, ARGV[place])
end
redis.call('hset', summaries, ARGV[3], ARGV[4])
redis.call('hincrby', head_of(session), 'revision', 1)
return 1
"""

MATCHING: Final = f"""{_LIBRARY}
local found = {{}}
for place, life in ipairs(ARGV) do
  found[place] = {{redis.call('hgetall', of(life, 'rows')),
    redis.call('hgetall', of(life, 'segments'))}}
end
return found
"""
