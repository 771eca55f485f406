# The events in a record of any form.
if .logEvents then select(.messageType == "DATA_MESSAGE") | .logEvents[].message | fromjson
elif .properties then
  if .category == "kube-audit" or .category == "kube-audit-admin" then .properties.log | fromjson else empty end
else . end
