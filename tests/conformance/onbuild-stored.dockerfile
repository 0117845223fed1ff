FROM kilnbase:1
ONBUILD ADD . /app/src
ONBUILD RUN /usr/local/bin/build --dir /app/src
ONBUILD CMD ["x", "y"]
