FROM kilnbase:1
RUN echo trailing \   
    blanks > /one
RUN echo one \
# a comment
    # an indented one

    two > /two
RUN echo "   leading \
   blanks stay" > /three
LABEL a=1 \
      b="x \
y" \
      c=3
RUN echo end \
