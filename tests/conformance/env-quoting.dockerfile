FROM kilnbase:1
ENV A="a\tb" B=a\ b C='it''s' D="first \
 second" E=$A$B
ENV F=${A}x G="${B}" H=\"q\" I="\$x" J='\$x' K=a\\b L="\\" M='"' N="'" O=a"b c"d
ENV PATH=$PATH:/more PATH2="${PATH}:/two"
ENV BASE=changed NEW=$BASE UNDEFINED=[$nosuch] BRACES=[${nosuch}]
ENV P=a=b=c Q="" R= S=#notacomment T=$$ U=a$
RUN env | grep -e '^[A-Z]=' -e '^PATH' -e '^BASE' -e '^NEW' | sort > /env
