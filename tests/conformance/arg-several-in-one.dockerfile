FROM kilnbase:1
ARG A=first B=$A
LABEL b=$B
