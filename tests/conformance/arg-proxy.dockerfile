FROM kilnbase:1
RUN env | grep -i proxy | sort > /proxy
ARG https_proxy
RUN env | grep -i proxy | sort >> /proxy
#: args --build-arg HTTP_PROXY=http://proxy.invalid:1 --build-arg no_proxy=localhost
