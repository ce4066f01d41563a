# perl.sh: words counted, text matched and replaced, records sorted in perl.
# needs: perl
exec perl - <<'PERL'
use strict; use warnings;
my ($seed, $text, %words, @records) = (7, '');
for my $i (1 .. 220_000) {
    $seed = ($seed * 1103515245 + 12345) & 0x7fffffff;
    my $word = sprintf '%x', $seed % 50021;
    $words{$word}{count}++;
    push @{ $words{$word}{at} }, $i if $i % 3 == 0;
    $text .= "$word " x ($seed % 3);
    push @records, { name => $word x ($seed % 9), at => [$i, $seed], kind => 'record' } if $i % 2 == 0;
    delete $words{ sprintf '%x', $i % 50021 } if $i % 5 == 0;
}
(my $changed = $text) =~ s/([a-f]+)(\d+)/$2$1/g;
my %seen = map { $_ => length } split / /, $changed;
my @sorted = map { "$_->{name} @{ $_->{at} }" } sort { $a->{name} cmp $b->{name} } @records;
print scalar(keys %words), ' ', scalar(keys %seen), ' ', length(join ',', @sorted), "\n";
PERL
