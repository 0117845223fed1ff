# Links of both kinds, pipes, and links to what the base has.
FROM mixed:1
RUN echo one > /one && ln /one /two && ln -s /one /three && ln -s nowhere /dangling && mkfifo /pipe
RUN ln /srv/app/file /srv/app/hard && chown -h 5:6 /three && ln -s /srv/app /dir-link
RUN echo through >> /dir-link/file && rm /one && ln -sf two /three
