# Who a RUN is.
FROM mixed:1
RUN mkdir -m 1777 /open && id -u > /open/root
USER app
RUN id > /open/app && echo "$HOME" > /open/home && umask > /open/umask && echo ~app > /open/tilde
USER 4321:5
RUN id -u > /open/number && id -g >> /open/number && mkdir /open/dir && touch /open/dir/file
USER root
RUN echo "later:x:2000:2000::/:/bin/sh" >> /etc/passwd && touch /open/later && chown later /open/later
USER later
RUN id -un > /open/name
