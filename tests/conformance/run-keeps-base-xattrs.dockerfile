FROM kilnbase:1
RUN chmod 700 /bin/helper
RUN cp -a /existing /copy && touch -d '2001-02-03 04:05:06' /copy/kept && chown 9:9 /copy
RUN mv /bin/helper /bin/helper2
