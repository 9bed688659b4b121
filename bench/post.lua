-- wrk's script: posts a file again and again. Arguments: FILE CONTENT-TYPE
function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = args[2]
  wrk.headers["Accept"] = args[2]
  file:close()
end

function done(summary)
  local errors = summary.errors
  io.write(string.format("figures %d %d %d %d\n", summary.requests, summary.duration, summary.bytes,
                         errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
