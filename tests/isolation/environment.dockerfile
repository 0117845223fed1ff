# What a RUN is told.
FROM mixed:1
ARG VERSION=1.2
ENV NAME="with space" EMPTY= LIST=a:b
RUN echo "$VERSION $NAME $EMPTY $LIST $PATH" > /variables && pwd >> /variables
SHELL ["/bin/sh", "-e", "-c"]
RUN echo "of $0" > /shell; false || echo "exits" >> /shell
RUN ["/bin/sh", "-c", "echo exec form > /exec"]
RUN env | grep -v -e ^HOSTNAME= -e ^SHLVL= -e ^OLDPWD= | sort > /env
