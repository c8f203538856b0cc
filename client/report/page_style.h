// The style sheet of report.html.
#ifndef CYTOPRESS_CLIENT_REPORT_PAGE_STYLE_H_
#define CYTOPRESS_CLIENT_REPORT_PAGE_STYLE_H_

namespace cytopress {

// Light and dark by the reader's choice, light on paper. Colours are of Okabe and Ito's palette,
// which colour-blind readers tell apart; whatever a colour says, words say too.
inline constexpr char kPageStyle[] = R"css(
:root{--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#5a6675;--rule:#dfe4ea;--accent:#0072b2;
--good:#e3f2ec;--good-ink:#00553c;--warn:#fdf0d5;--warn-ink:#6d4700;--bad:#fbe3d9;--bad-ink:#8a2c00;
--unsure:#e0edf8;--unsure-ink:#0a4a78;--open:#eceff3;--fp32:#cc79a7;--fp16:#0072b2;--int8:#d55e00;--int4:#009e73;--heat:0,114,178;--miss:213,94,0;--edge:rgba(27,35,48,.35);
color-scheme:light dark}
@media screen and (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b212a;--ink:#e6eaf0;
--soft:#9fabba;--rule:#313a46;--accent:#56b4e9;--good:#12352b;--good-ink:#8fe0c1;--warn:#3d2f10;
--warn-ink:#f3cd7e;--bad:#43200f;--bad-ink:#ffb595;--unsure:#15304a;--unsure-ink:#a8d4f5;--open:#262d37;--fp32:#e39cc4;--fp16:#56b4e9;--int8:#f08a4b;
--int4:#2fc79a;--heat:86,180,233;--miss:240,138,75;--edge:rgba(0,0,0,.8)}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans","DejaVu Sans",sans-serif}
main{max-width:1400px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:2rem;line-height:1.2;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:0 0 12px}
h3{font-size:1rem;margin:20px 0 8px}
p{max-width:75ch}
header p{margin:4px 0 20px}
section{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:20px;
margin:20px 0}
.muted{color:var(--soft)}
.fine{color:var(--soft);font-size:.875rem}
.headline{font-size:1.35rem;line-height:1.45;margin:0 0 20px;max-width:60ch}
.headline strong{color:var(--accent);font-weight:650}
.banner{background:var(--warn);color:var(--warn-ink);border-radius:8px;padding:10px 14px;
margin:0 0 16px;max-width:none;overflow-wrap:anywhere}
.data{border-left:4px solid var(--accent);padding-left:12px;max-width:80ch}
.tiles{list-style:none;display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,280px));
gap:12px;margin:0 0 16px;padding:0}
.tiles li{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:12px 16px}
.tiles b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:.875rem}
.scroll{overflow-x:auto;border-radius:6px;scrollbar-width:thin;scrollbar-color:var(--soft) var(--open);
background:linear-gradient(90deg,var(--card) 40%,transparent) 0 0/36px 100% no-repeat local,
linear-gradient(270deg,var(--card) 40%,transparent) 100% 0/36px 100% no-repeat local,
linear-gradient(90deg,var(--edge),transparent) 0 0/16px 100% no-repeat,
linear-gradient(270deg,var(--edge),transparent) 100% 0/16px 100% no-repeat}
.scroll:focus-visible,summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);font-size:.875rem;padding-bottom:8px}
th,td{padding:7px 10px;border-bottom:1px solid var(--rule);text-align:right;vertical-align:top}
tbody tr:last-child>*{border-bottom:0}
td{white-space:nowrap}
td.left,.grid td{white-space:normal}
th:first-child,td.left{text-align:left}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}
tbody th{font-weight:600}
td small,th small{display:block;color:var(--soft);font-weight:400;font-size:.8rem;
white-space:nowrap}
.badge{display:inline-block;border-radius:99px;padding:1px 9px;font-size:.78rem;font-weight:600;
overflow-wrap:anywhere}
.badge.good{background:var(--good);color:var(--good-ink)}
.badge.warn{background:var(--warn);color:var(--warn-ink)}
.badge.bad{background:var(--bad);color:var(--bad-ink)}
.badge.unsure{background:var(--unsure);color:var(--unsure-ink)}
.badge.open{background:var(--open);color:var(--soft)}
.models th,.models td:nth-child(2){white-space:nowrap}
.models thead th{white-space:normal}
.models th:nth-child(5),.bars th,.ledger th:nth-child(n+8){text-align:left}
.models td.left{min-width:13em}
.models td.left small{white-space:normal}
.sum th,.sum td{color:var(--soft);font-weight:400}
.sum th{padding-left:1.6em}
.grid{table-layout:fixed;min-width:340px;border-collapse:separate;border-spacing:6px}
.grid th:first-child{width:4.6em}
.grid td,.grid th{border:0;text-align:left}
.grid tbody th{white-space:nowrap;vertical-align:middle;font-size:1.05rem}
.grid td{background:var(--open);border-radius:8px;padding:10px 12px}
.grid td small{white-space:normal}
@media(min-width:700px){.grid td small{display:inline-block;margin-right:12px}.one{position:relative;
min-height:24px}.grid td .badge{position:absolute;top:0;right:0;margin:0}}
.grid td b{display:block;font-size:1.25rem;line-height:1.3}
.grid td.good{background:var(--good)}
.grid td.unsure{background:var(--unsure)}
.grid td.warn{background:var(--warn)}
.grid td.bad{background:repeating-linear-gradient(135deg,var(--bad) 0 9px,transparent 9px 13px),
var(--card)}
.grid td .badge{background:var(--card);margin-top:4px}
.grid td.none{background:none}
.paper{display:block;margin-top:6px;padding-top:5px;border-top:1px dashed var(--soft);
color:var(--soft);font-size:.78rem;font-style:italic}
.fine .paper{display:inline;border:0;margin:0;padding:0}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr));gap:20px 28px}
.pair>*{min-width:0}
figure{margin:0}
figcaption{color:var(--soft);font-size:.875rem}
.chart{display:block;width:100%;height:auto;max-width:640px}
.chart text{font:13px system-ui,"Liberation Sans",sans-serif;fill:var(--ink)}
.chart .tick,.chart .name{fill:var(--soft);font-size:12px}
.chart .label{font-weight:600;font-size:12px;paint-order:stroke;stroke:var(--card);stroke-width:3px}
.rule{stroke:var(--rule);stroke-width:1}
.axis{stroke:var(--soft);stroke-width:1}
.interval{stroke:var(--soft);stroke-width:1;opacity:.6}
.strip{fill:var(--bad);opacity:.7}
.front{fill:none;stroke:var(--soft);stroke-width:1.5;stroke-dasharray:5 4}
.m{stroke:var(--card);stroke-width:1.5}
.m.fp32{fill:var(--fp32)}.m.fp16{fill:var(--fp16)}.m.int8{fill:var(--int8)}.m.int4{fill:var(--int4)}
.legend{display:flex;gap:18px;margin:0 0 8px;font-size:.9rem}
.legend svg{width:14px;height:14px;vertical-align:-2px}
.bars td{width:27%;text-align:left;white-space:nowrap}
.bars td small{display:inline;margin-left:8px}
.bar{display:block;height:8px;border-radius:4px;background:var(--open);margin:5px 0 3px;
overflow:hidden;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.bar i{display:block;height:100%;border-radius:4px}
.first i{background:var(--fp16)}.second i{background:var(--int8)}.third i{background:var(--int4)}
.matrix{width:auto;border-collapse:separate;border-spacing:2px}
.matrix th,.matrix td{border:0;padding:5px 9px}
.matrix tbody th{white-space:nowrap;font-weight:500}
.matrix td.hit,.matrix td.miss{min-width:3.2em;text-align:center;border-radius:4px}
.matrix thead th:nth-child(n+3){text-align:center}
.matrix td.hit{background:rgba(var(--heat),calc(var(--s)*.5))}
.matrix td.miss{background:rgba(var(--miss),calc(var(--s)*.5))}
abbr{text-decoration:none}
details{border-top:1px solid var(--rule);padding:8px 0}
details[open]{padding-bottom:14px}
summary{cursor:pointer;padding:4px 2px;font-weight:600}
summary .muted{font-weight:400}
.note{min-width:22em}
.note small{white-space:normal}
.facts th{white-space:nowrap;color:var(--soft);font-weight:500;text-align:left}
.facts td{overflow-wrap:anywhere}
.facts caption{color:var(--ink);font-weight:600;font-size:1rem}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,"DejaVu Sans Mono",monospace;font-size:.82rem}
pre{background:var(--bg);border:1px solid var(--rule);border-radius:8px;padding:12px 14px;
overflow-x:auto;margin:8px 0}
dl{margin:4px 0;max-width:75ch}
dt{font-weight:600}
dd{margin:0 0 8px;color:var(--soft)}
footer{max-width:80ch}
@media(max-width:560px){main{padding:20px 12px 32px}section{padding:14px 12px}
h1{font-size:1.6rem}.headline{font-size:1.15rem}.grid{border-spacing:4px}
.grid td{padding:8px 7px}.grid td b{font-size:1.05rem}.grid th:first-child{width:4.6em;padding:4px 2px}
.chart{min-width:480px}
.tiles{grid-template-columns:1fr 1fr}
.badge{padding:1px 7px;font-size:.72rem;border-radius:8px}.grid td .badge{padding:1px 2px;font-size:.66rem}
.grid thead th{padding:4px 2px;font-size:.75rem}
.grid thead th:first-child{font-size:.65rem}.grid tbody th{font-size:.9rem;padding:2px}}
@media print{:root{--bg:#fff}html{font-size:11px}main{max-width:none;padding:0}
section{border:0;padding:0;margin:14px 0}figure,tr,.tiles{break-inside:avoid}
td small,th small{white-space:normal}th,td{padding:5px}
.pair{grid-template-columns:1fr 1fr}.chart{min-width:0}
h2,h3,.legend,summary{break-after:avoid}.scroll{overflow:visible}
.grid td,.badge,.matrix td,.bar i{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
)css";

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_REPORT_PAGE_STYLE_H_
