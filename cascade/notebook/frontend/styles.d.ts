/** The text of view/view.css with the palette of looks.json before it; the build script makes it. */
declare module "cascade:styles" {
  const text: string;
  export default text;
}
