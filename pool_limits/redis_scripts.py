"""What Redis does in one step, in its own language; its clock is the only one."""

from __future__ import annotations

from typing import Final

_NOW: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function int(n) return string.format('%.0f', n) end
"""

# A booking is a hash: `b:LIMIT` is the bucket, `a:LIMIT` the amount, `settled` says that it is over.
# A bucket is a hash with `used`, and what people are told; its calls under way are in `BUCKET:open`.
RESERVE: Final = (
    _NOW
    + """
local call, lease, bookings = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local booking = KEYS[1]
local known = {}
if redis.call('HEXISTS', booking, 'settled') == 0 then
  local fields = redis.call('HGETALL', booking)
  for i = 1, #fields, 2 do known[fields[i]] = fields[i + 1] end
end
local charges, worst = {}, nil
local back_soon, kept = tonumber(ARGV[4]), tonumber(ARGV[5])
for i = 2, #KEYS do
  local at = 6 + (i - 2) * 5
  local c = {limit = ARGV[at], label = ARGV[at + 1], per = tonumber(ARGV[at + 2]),
             amount = tonumber(ARGV[at + 3]), cap = tonumber(ARGV[at + 4])}
  local window = math.floor(now / c.per)
  c.bucket, c.ends = KEYS[i] .. ':' .. int(window), (window + 1) * c.per
  charges[#charges + 1] = c
  local used = tonumber(redis.call('HGET', c.bucket, 'used') or '0')
  if known['b:' .. c.limit] == c.bucket then used = used - tonumber(known['a:' .. c.limit]) end
  if used + c.amount > c.cap then
    local full = {#charges, used, -1, 0}
    if c.amount <= c.cap then
      local held = 0
      for _, other in ipairs(redis.call('ZRANGEBYSCORE', c.bucket .. ':open', '(' .. int(now), '+inf')) do
        if other ~= call then
          held = held + tonumber(redis.call('HGET', bookings .. other, 'a:' .. c.limit) or '0')
        end
      end
      full[3] = c.ends
      if used - held + c.amount <= c.cap then
        full[3], full[4] = math.min(c.ends, now + back_soon), 1
      end
    end
    if not worst or (worst[3] >= 0 and (full[3] < 0 or full[3] > worst[3])) then worst = full end
  end
end
if worst then return {worst[1], int(worst[2]), int(worst[3]), worst[4]} end
for field, bucket in pairs(known) do
  local limit = string.match(field, '^b:(.*)$')
  if limit and redis.call('EXISTS', bucket) == 1 then
    redis.call('HINCRBY', bucket, 'used', int(-tonumber(known['a:' .. limit])))
    redis.call('ZREM', bucket .. ':open', call)
  end
end
redis.call('DEL', booking)
local last = now
for _, c in ipairs(charges) do
  redis.call('HINCRBY', c.bucket, 'used', int(c.amount))
  redis.call('HSET', c.bucket, 'label', c.label, 'ends', int(c.ends))
  redis.call('ZADD', c.bucket .. ':open', now + lease, call)
  redis.call('PEXPIREAT', c.bucket, int(c.ends + kept))
  redis.call('PEXPIREAT', c.bucket .. ':open', int(c.ends + kept))
  redis.call('HSET', booking, 'b:' .. c.limit, c.bucket, 'a:' .. c.limit, int(c.amount))
  last = math.max(last, c.ends)
end
redis.call('PEXPIREAT', booking, int(last + kept))
return {}
"""
)

SETTLE: Final = """
local call, settled_for = ARGV[1], tonumber(ARGV[2])
local booking = KEYS[1]
if redis.call('EXISTS', booking) == 0 or redis.call('HEXISTS', booking, 'settled') == 1 then return 0 end
local spent, known = {}, {}
for i = 3, #ARGV, 2 do spent[ARGV[i]] = tonumber(ARGV[i + 1]) end
local fields = redis.call('HGETALL', booking)
for i = 1, #fields, 2 do known[fields[i]] = fields[i + 1] end
for field, bucket in pairs(known) do
  local limit = string.match(field, '^b:(.*)$')
  if limit and redis.call('EXISTS', bucket) == 1 then
    local change = (spent[limit] or 0) - tonumber(known['a:' .. limit])
    redis.call('HINCRBY', bucket, 'used', string.format('%.0f', change))
    redis.call('ZREM', bucket .. ':open', call)
  end
end
redis.call('HSET', booking, 'settled', 1)
if redis.call('PTTL', booking) > settled_for then redis.call('PEXPIRE', booking, settled_for) end
return 1
"""

ASK: Final = (
    _NOW
    + """
local breaker, token, lease = KEYS[1], ARGV[1], tonumber(ARGV[2])
local back_soon, forgotten = tonumber(ARGV[3]), tonumber(ARGV[4])
local known = redis.call('HMGET', breaker, 'until', 'probe', 'probe_ends', 'reason')
if not known[1] then return {1, '', '0', ''} end
redis.call('PEXPIREAT', breaker, int(math.max(tonumber(known[1]), now) + forgotten))
local reason = known[4] or ''
if now < tonumber(known[1]) then return {0, '', known[1], reason} end
if known[2] and now < tonumber(known[3]) then
  return {0, '', int(math.min(tonumber(known[3]), now + back_soon)), reason}
end
redis.call('HSET', breaker, 'probe', token, 'probe_ends', int(now + lease))
return {1, token, '0', reason}
"""
)

REPORT: Final = (
    _NOW
    + """
local breaker, failed = KEYS[1], KEYS[1] .. ':failed'
local ending, probe, reason = ARGV[1], ARGV[2], ARGV[3]
local failures, within, cool_down = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local forgotten = tonumber(ARGV[7])
local known = redis.call('HMGET', breaker, 'until', 'probe')
if known[1] then
  if probe == '' or known[2] ~= probe then return '' end
  if ending == 'good' then
    redis.call('DEL', breaker, failed)
    return 'closed'
  end
  redis.call('HSET', breaker, 'until', int(now + cool_down))
  redis.call('HDEL', breaker, 'probe', 'probe_ends')
  if reason ~= '' then redis.call('HSET', breaker, 'reason', reason) end
  redis.call('PEXPIREAT', breaker, int(now + cool_down + forgotten))
  if ending == 'bad' then return 'open' end
  return ''
end
if ending ~= 'bad' then return '' end
redis.call('RPUSH', failed, int(now))
while redis.call('LLEN', failed) > failures
    or tonumber(redis.call('LINDEX', failed, 0)) <= now - within do
  redis.call('LPOP', failed)
end
redis.call('PEXPIRE', failed, int(within))
if redis.call('LLEN', failed) < failures then return '' end
redis.call('HSET', breaker, 'until', int(now + cool_down), 'opened_by', failures, 'reason', reason)
redis.call('PEXPIREAT', breaker, int(now + cool_down + forgotten))
redis.call('DEL', failed)
return 'open'
"""
)

NOTE_OUTCOME: Final = """
local report, agent = KEYS[1], KEYS[2]
if not redis.call('SET', report, 1, 'NX', 'PX', ARGV[3]) then return 0 end
local good = redis.call('HINCRBY', agent, 'good', ARGV[1])
local bad = redis.call('HINCRBY', agent, 'bad', ARGV[2])
if good + bad >= tonumber(ARGV[5]) then
  redis.call('HSET', agent, 'good', math.floor(good / 2), 'bad', math.floor(bad / 2))
end
redis.call('PEXPIRE', agent, ARGV[4])
return 1
"""

# The calls of an agent are a sorted set: when each is taken for lost.
BEGIN_CALL: Final = (
    _NOW
    + """
local calls, call, lease = KEYS[1], ARGV[1], tonumber(ARGV[2])
redis.call('ZADD', calls, int(now + lease), call)
local last = redis.call('ZRANGE', calls, -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', calls, int(tonumber(last[2])))
return 1
"""
)

END_CALL: Final = "return redis.call('ZREM', KEYS[1], ARGV[1])"

STANDINGS: Final = (
    _NOW
    + """
local found = {}
for i = 1, #KEYS, 2 do
  local known = redis.call('HMGET', KEYS[i], 'good', 'bad')
  redis.call('ZREMRANGEBYSCORE', KEYS[i + 1], '-inf', int(now))
  found[#found + 1] = {known[1] or '0', known[2] or '0', redis.call('ZCARD', KEYS[i + 1])}
end
return found
"""
)
