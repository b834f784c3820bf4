"""The report's frame: style sheet, script and page skeleton, free of any outside reference.

The style sheet defines both themes as CSS variables; the script draws each chart with the variables' present values and
again when the theme changes. A content-security policy forbids every request.
"""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--bg:#f5f6f8;--surface:#fff;--raised:#fff;--ink:#171a21;--ink-soft:#4b5566;
--muted:#667085;--faint:#a3acb9;--price:#8792a4;--line:#e3e6eb;--line-strong:#c3c9d2;--grid:#eef0f3;--accent:#2962d9;
--gain:#0e8a61;--loss:#cf3f55;--gain-soft:rgba(14,138,97,.16);--loss-soft:rgba(207,63,85,.14);
--shadow:0 1px 2px rgba(16,24,40,.05);--heat:62%}
@media (prefers-color-scheme:dark){:root{--bg:#0d1015;--surface:#151920;--raised:#1d222b;--ink:#e7eaf0;
--ink-soft:#b6bfcc;--muted:#929db0;--faint:#667083;--price:#8b97ab;--line:#262c37;--line-strong:#3c4554;--grid:#1e232d;
--accent:#74a4ff;--gain:#3fc596;--loss:#f7788a;--gain-soft:rgba(63,197,150,.18);--loss-soft:rgba(247,120,138,.17);
--shadow:none;--heat:52%}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1240px;margin:0 auto;padding:28px 24px 48px;display:grid;gap:16px;grid-template-columns:minmax(0,1fr)}
h1{font-size:26px;line-height:1.2;margin:0 0 6px;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{font-size:15px;margin:0;letter-spacing:-.005em}
h3{font-size:11px;margin:0 0 6px;text-transform:uppercase;letter-spacing:.07em;color:var(--muted);font-weight:600}
p{margin:0}
header .brand{font-size:11px;letter-spacing:.14em;text-transform:uppercase;color:var(--accent);font-weight:700;
margin-bottom:8px}
.facts{display:flex;flex-wrap:wrap;gap:2px 18px;color:var(--muted)}
.facts span{overflow-wrap:anywhere}
.panel{background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:18px 20px;min-width:0;
box-shadow:var(--shadow)}
.head{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:baseline;justify-content:space-between;margin-bottom:10px}
.head .note,.note{color:var(--muted);font-size:12px}
.cards{display:grid;gap:12px;grid-template-columns:repeat(4,minmax(0,1fr))}
.card{background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:14px 16px;min-width:0;
box-shadow:var(--shadow)}
.card .label{color:var(--muted);font-size:12px}
.card .value{font-size:24px;font-weight:650;letter-spacing:-.02em;line-height:1.3;white-space:nowrap;overflow:hidden;
text-overflow:ellipsis}
.card .sub{color:var(--muted);font-size:12px}
.gain{color:var(--gain)}.loss{color:var(--loss)}
.chart{width:100%;min-width:0}.chart.tall{height:440px}.chart.mid{height:400px}.chart.low{height:280px}
.two{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr))}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
.scroll.high{max-height:560px;overflow-y:auto}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:13px}
th,td{padding:6px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{color:var(--muted);font-weight:600;font-size:12px}
th.l,td.l{text-align:left}
tbody tr:last-child td,tbody tr:last-child th{border-bottom:0}
.heat th,.heat td{padding:5px 8px;text-align:center;border-bottom:0}
.heat td{border-radius:5px;border:1.5px solid var(--surface);min-width:56px}
.heat td.sum{font-weight:650}
.heat tbody th,.heat thead th:first-child{position:sticky;left:0;background:var(--surface);text-align:left}
#trades thead th{position:sticky;top:0;background:var(--surface);cursor:pointer;user-select:none;
box-shadow:inset 0 -1px var(--line)}
#trades thead th[aria-sort=ascending]::after{content:" ↑"}#trades thead th[aria-sort=descending]::after{content:" ↓"}
#trades thead th:hover,#trades thead th:focus-visible{color:var(--ink)}
#trades th,#trades td{padding:5px 7px;font-size:12px}
#trades tbody tr:hover td{background:var(--bg)}
.stats{columns:3 300px;column-gap:36px}
.stats section{break-inside:avoid-column;margin-bottom:18px}
.stats dl{margin:0}
.row{display:flex;justify-content:space-between;gap:12px;padding:4px 0;border-bottom:1px solid var(--line)}
.row:last-child{border-bottom:0}
.row dt{color:var(--ink-soft)}.row dd{margin:0;font-weight:550;text-align:right;overflow-wrap:anywhere}
.tip{cursor:help;text-decoration:underline dotted var(--line-strong);text-underline-offset:3px;position:relative}
.tip:focus{outline:none}.tip:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
#bubble{position:fixed;z-index:9;max-width:min(320px,calc(100vw - 24px));background:var(--ink);color:var(--bg);
font-size:12px;line-height:1.4;padding:8px 10px;border-radius:8px;pointer-events:none;opacity:0;transition:opacity .12s}
#bubble.on{opacity:1}
select,input{font:inherit;font-size:13px;color:var(--ink);background:var(--bg);border:1px solid var(--line);
border-radius:8px;padding:5px 10px;max-width:100%}
.tools{display:flex;flex-wrap:wrap;gap:8px}
.warn{border-color:var(--loss);color:var(--ink)}
.kv{display:grid;grid-template-columns:minmax(90px,max-content) minmax(0,1fr);gap:5px 18px}
.kv dt{color:var(--muted)}.kv dd{margin:0;overflow-wrap:anywhere}
.empty{color:var(--muted);padding:18px 0;text-align:center}
code{font:12px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
footer{color:var(--muted);font-size:12px;display:grid;gap:4px}
details summary{cursor:pointer;color:var(--ink-soft)}
details table{margin-top:10px}details td{white-space:normal}
@media (max-width:820px){.cards{grid-template-columns:repeat(2,minmax(0,1fr))}}
@media (max-width:560px){main{padding:18px 12px 32px;gap:12px}.panel{padding:14px 12px;border-radius:10px}
h1{font-size:21px}.cards{gap:8px}.card{padding:10px 12px;border-radius:10px}.card .value{font-size:19px}
.chart.tall{height:380px}.chart.mid{height:330px}.chart.low{height:250px}th,td{padding:5px 8px}}
@media print{body{background:#fff}.panel,.card{break-inside:avoid;box-shadow:none}.tools{display:none}
.scroll.high{max-height:none}}
"""

SCRIPT = """
(function(){
"use strict";
var $=function(id){return document.getElementById(id)};
var data=function(id){var e=$(id);return e?JSON.parse(e.textContent):null};

/* charts: var(--name) in a figure stands for the theme's present value */
function themed(x,css){
  if(typeof x==="string"){
    return x.replace(/var\\((--[a-z-]+)\\)/g,function(_,name){return css.getPropertyValue(name).trim()});
  }
  if(Array.isArray(x)){return x.map(function(v){return themed(v,css)})}
  if(x&&typeof x==="object"&&!ArrayBuffer.isView(x)){
    var out={};Object.keys(x).forEach(function(k){out[k]=k==="bdata"?x[k]:themed(x[k],css)});return out;
  }
  return x;
}
var coarse=window.matchMedia("(pointer:coarse)").matches;
function draw(box){
  var figure=data(box.dataset.figure);
  if(!figure||!window.Plotly){return}
  var f=themed(figure,getComputedStyle(document.documentElement));
  if(coarse){f.layout.dragmode=false}
  if(window.innerWidth<560){f.layout.font.size=10;f.layout.margin.r=4;f.layout.margin.l=2;
    f.data.forEach(function(t){if(t.marker&&t.marker.size){t.marker.size=7}})}
  Plotly.react(box,f.data,f.layout,{responsive:true,displaylogo:false,displayModeBar:false,scrollZoom:false});
}
function drawAll(){document.querySelectorAll(".chart").forEach(draw)}
drawAll();
var dark=window.matchMedia("(prefers-color-scheme:dark)");
if(dark.addEventListener){dark.addEventListener("change",drawAll)}
var pick=$("instrument");
if(pick){pick.addEventListener("change",function(){
  var box=$("price");box.dataset.figure=pick.value;draw(box);
  var note=pick.selectedOptions[0].dataset.note||"";$("price-note").textContent=note;
})}

/* definitions: one bubble, by pointer, finger or keyboard */
var bubble=$("bubble");
function show(e){
  var tip=e.target.closest?e.target.closest(".tip"):null;
  if(!tip){bubble.classList.remove("on");return}
  bubble.textContent=tip.dataset.tip;
  var r=tip.getBoundingClientRect(),w=bubble.offsetWidth,h=bubble.offsetHeight;
  bubble.style.left=Math.max(12,Math.min(r.left,window.innerWidth-w-12))+"px";
  bubble.style.top=(r.top-h-8<8?r.bottom+8:r.top-h-8)+"px";
  bubble.classList.add("on");
}
["mouseover","focusin","click"].forEach(function(name){document.addEventListener(name,show)});
document.addEventListener("focusout",function(){bubble.classList.remove("on")});
window.addEventListener("scroll",function(){bubble.classList.remove("on")},true);

/* trades: sort by a column, filter by text, side and outcome */
var trades=data("trades-data");
if(trades){
  var body=$("trades").tBodies[0],heads=$("trades").tHead.rows[0].cells,key=-1,up=true;
  var cell=function(row,i){return row[i][0]},word=function(row,i){return row[i][1]};
  var render=function(){
    var text=$("f-text").value.toLowerCase(),side=$("f-side").value,won=$("f-won").value;
    var rows=trades.rows.filter(function(row){
      var gain=cell(row,trades.pnl)>0;
      return(!side||word(row,trades.side)===side)&&(!won||(won==="won")===gain)&&
        (!text||row.some(function(c){return c[1].toLowerCase().indexOf(text)>=0}));
    });
    if(key>=0){rows.sort(function(a,b){
      var x=cell(a,key),y=cell(b,key);
      if(x===null||y===null){return(x===null)-(y===null)}
      return(x<y?-1:x>y?1:0)*(up?1:-1);
    })}
    var part=document.createDocumentFragment();
    rows.forEach(function(row){
      var tr=document.createElement("tr");
      row.forEach(function(c,i){
        var td=document.createElement("td");td.textContent=c[1];
        if(trades.left[i]){td.className="l"}
        if(trades.signed[i]&&c[0]!==null){td.className+=c[0]>0?" gain":c[0]<0?" loss":""}
        tr.appendChild(td);
      });
      part.appendChild(tr);
    });
    body.replaceChildren(part);
    $("f-count").textContent=rows.length.toLocaleString("en")+" shown";
  };
  Array.prototype.forEach.call(heads,function(th,i){
    var sort=function(){
      up=key===i?!up:true;key=i;
      Array.prototype.forEach.call(heads,function(h){h.removeAttribute("aria-sort")});
      th.setAttribute("aria-sort",up?"ascending":"descending");render();
    };
    th.tabIndex=0;th.addEventListener("click",sort);
    th.addEventListener("keydown",function(e){if(e.key==="Enter"||e.key===" "){e.preventDefault();sort()}});
  });
  ["f-text","f-side","f-won"].forEach(function(id){$(id).addEventListener("input",render)});
  render();
}
})();
"""

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
)


def page(title: str, body: str, library: str) -> str:
    """Put an escaped title, the body's markup and plotly.js together into one HTML document."""
    inert = library.replace("</script", "<\\/script")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n"
        '<div id="bubble" role="tooltip"></div>\n'
        f"<script>{inert}</script>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
