// The parts of Apache ECharts that the page draws with; build.sh makes echarts.min.js of them.
export { init, use } from "echarts/core";
import { use } from "echarts/core";
import { BarChart, CustomChart, HeatmapChart, LineChart, ParallelChart } from "echarts/charts";
import { DataZoomInsideComponent, GridComponent, LegendComponent, ParallelComponent, TooltipComponent, VisualMapContinuousComponent } from "echarts/components";
import { CanvasRenderer, SVGRenderer } from "echarts/renderers";
use([BarChart, CustomChart, HeatmapChart, LineChart, ParallelChart, DataZoomInsideComponent, GridComponent, LegendComponent,
  ParallelComponent, TooltipComponent, VisualMapContinuousComponent, CanvasRenderer, SVGRenderer]);
