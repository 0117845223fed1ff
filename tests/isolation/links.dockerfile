# Links of both kinds, pipes, and links to what the base has. Nothing is written to a file that has a
# second name in a layer below: overlayfs breaks such a link when it copies the file up ("Non-standard
# behavior" in https://docs.kernel.org/filesystems/overlayfs.html), and a plain directory does not.
FROM mixed:1
RUN echo one > /one && ln /one /two && ln -s /one /three && ln -s nowhere /dangling && mkfifo /pipe
RUN ln /srv/app/file /srv/app/hard && chown -h 5:6 /three && ln -s /srv/app /dir-link
RUN echo through > /dir-link/via && rm /one && ln -sf two /three
