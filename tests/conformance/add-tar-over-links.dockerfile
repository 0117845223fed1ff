FROM kilnbase:1
RUN mkdir -p /t /elsewhere && ln -s /elsewhere /t/dir && ln -s /etc/base.conf /t/dotted && mkdir /t/absolute
ADD archive.tar /t/
