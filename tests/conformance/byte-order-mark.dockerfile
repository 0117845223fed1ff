FROM kilnbase:1
RUN echo bom > /bom
