FROM kilnbase:1
RUN true
RUN touch /tmp/x && rm /tmp/x
WORKDIR /tmp
COPY nothing* /nowhere/
