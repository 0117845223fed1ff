FROM kilnbase:1
RUN rm -r /usr/share/moved && mkdir /usr/share/moved && echo new > /usr/share/moved/new
RUN rm -r /usr/share/removed && ln -s moved /usr/share/removed
RUN mv /existing /existing2 && mkdir /existing && echo again > /existing/kept
RUN rm -r /existing2 && echo file > /existing2
