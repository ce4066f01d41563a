# lua.sh: tables, closures and strings that come and go in the Lua interpreter.
# needs: lua5.4
exec lua5.4 - <<'LUA'
local function tree(depth)
  if depth == 0 then return {} end
  return {tree(depth - 1), tree(depth - 1), name = "node" .. depth}
end
local function count(node) return node[1] and 1 + count(node[1]) + count(node[2]) or 1 end
local kept, sum = tree(15), 0
for round = 1, 25 do sum = sum + count(tree(14)) end
local words = {}
for i = 1, 700000 do
  local word = string.format("%x", i * 7919 % 50021)
  words[word] = words[word] or {}
  table.insert(words[word], function() return i end)
end
for _, calls in pairs(words) do sum = sum + #calls + calls[1]() end
local lines = {}
for i = 1, 90000 do lines[i] = ("x" .. i):rep(i % 40):gsub("1", "one") end
table.sort(lines)
print(sum + count(kept), #table.concat(lines))
LUA
