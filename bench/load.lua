-- Sends the requests of the file named in LOAD, one after the other; each is made once and used once.
local requests, at = {}, 0

function init()
  local body, headers = nil, nil
  for line in io.lines(os.getenv("LOAD")) do
    if line == "" then
      if body then requests[#requests + 1] = wrk.format("POST", nil, headers, body) end
      body = nil
    elseif not body then
      body, headers = line, {["Content-Type"] = "application/json"}
    else
      local name, value = line:match("^([^:]+): (.*)$")
      headers[name] = value
    end
  end
end

function request()
  at = at + 1
  if at > #requests then at = 1 end
  return requests[at]
end
