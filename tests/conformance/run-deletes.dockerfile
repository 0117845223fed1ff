FROM kilnbase:1
RUN mkdir -p /t/a/b && echo 1 > /t/a/one && echo 2 > /t/a/b/two && echo 3 > /t/three
RUN rm /t/three && rm -r /t/a/b
RUN rm -r /t/a && mkdir /t/a && echo new > /t/a/fresh
RUN rm -rf /usr/share/removed && mv /usr/share/moved /usr/share/moved2
