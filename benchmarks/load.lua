-- A script for wrk: sends photos in turn and prints one line of JSON.
--   wrk -t1 -c4 -d5s -s load.lua URL -- LIST [FIELD]
-- LIST is a file with one path a line. With FIELD, a photo is sent as this field of a form, otherwise as the body.
local bodies, turn = {}, 0

function init(arguments)
  for path in io.lines(arguments[1]) do
    local file = assert(io.open(path, "rb"))
    local photo = file:read("*a")
    file:close()
    if arguments[2] then
      wrk.headers["Content-Type"] = "multipart/form-data; boundary=photo"
      photo = '--photo\r\nContent-Disposition: form-data; name="' .. arguments[2] ..
        '"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n' .. photo .. "\r\n--photo--\r\n"
    else
      wrk.headers["Content-Type"] = "image/jpeg"
    end
    bodies[#bodies + 1] = wrk.format("POST", nil, nil, photo)
  end
end

function request()
  turn = turn % #bodies + 1
  return bodies[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.4f, "p50": %.3f, "p95": %.3f, "p99": %.3f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
