# ghostscript.sh: pages of curves, text in many sizes and shadings, rendered to pixels and written as PDF.
# needs: ghostscript
cat >"$1/pages.ps" <<'PS'
%!PS
/random { rand 1000 mod 1000 div } def
7 srand
1 1 6 {
  1 1 700 {
    random random random setrgbcolor
    newpath random 600 mul random 800 mul moveto
    8 { 6 { random 700 mul } repeat curveto } repeat
    random 3 mul setlinewidth 2 mod 0 eq { stroke } { closepath eofill } ifelse
  } for
  1 1 500 {
    /Times-Roman findfont random 30 mul 6 add scalefont setfont
    random 500 mul random 780 mul moveto
    random 90 mul rotate 10 string cvs (line ) show show initmatrix
  } for
  pop showpage
} for
PS
gs -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=png16m -r72 -o "$1/page%d.png" "$1/pages.ps"
gs -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -o "$1/pages.pdf" "$1/pages.ps"
