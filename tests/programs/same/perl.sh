# perl.sh: hashes, regular expressions, sorting, growing strings, interpreter threads and forks in perl.
# runs: perl
export PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0
export ROUNDS=$([[ $SIZE == smoke ]] && echo 30000 || echo 400000)
cat >work.pl <<'PERL'
use strict; use warnings; use threads; use Digest::MD5 'md5_hex'; use List::Util 'sum'; use Storable qw(freeze thaw dclone);
my $rounds = $ENV{ROUNDS};
sub churn {
    my ($seed) = @_;
    my (%words, @kept, $text);
    for my $i (1 .. $rounds) {
        $seed = ($seed * 1103515245 + 12345) & 0x7fffffff;
        my $word = sprintf '%x', $seed % 50021;
        $words{$word}{count}++;
        push @{ $words{$word}{at} }, $i if $i % 7 == 0;
        $text .= "$word " x ($seed % 3);
        splice @kept, $seed % (@kept + 1), 0, $word if @kept < 2000;
        delete $words{ $kept[ $seed % @kept ] } if $i % 5 == 0;
    }
    my $hits = () = $text =~ /\b(?:[0-9]+[a-f]|f\w*0)\b/g;
    (my $changed = $text) =~ s/([a-f]+)(\d+)/$2$1/g;
    my $copy = thaw freeze dclone \%words;
    return join ' ', scalar(keys %words), $hits, md5_hex($changed), md5_hex(join ',', map { "$_=$copy->{$_}{count}" } sort keys %$copy);
}
print churn(1), "\n";
print "$_\n" for map { $_->join } map { my $n = $_; threads->create(sub { churn($n) }) } 2 .. 5;
my @children = map { my $n = $_; my $pid = open my $from, '-|'; die unless defined $pid; if (!$pid) { print churn($n); exit } $from } 6 .. 8;
print readline($_), "\n" for @children;
PERL
perl work.pl
