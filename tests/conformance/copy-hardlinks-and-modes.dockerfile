FROM kilnbase:1
COPY hard /hard
COPY special /special
