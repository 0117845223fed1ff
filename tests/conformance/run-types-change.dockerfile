FROM kilnbase:1
RUN echo f > /x && mkdir /y && ln -s x /z
RUN rm /x && mkdir /x && echo in > /x/in && rmdir /y && echo file > /y && rm /z && mkfifo /z
RUN rm -r /x && ln -s /y /x
