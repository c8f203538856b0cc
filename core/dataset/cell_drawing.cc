#include "core/dataset/cell_drawing.h"

#include <algorithm>

#include "core/dataset/canvas.h"

namespace cytopress {
namespace {

// Everything of one drawing that its parts share.
struct Scene {
  Random& random;
  Canvas canvas;
  Texture texture;
  Point center;       // of the cell
  double zoom;        // scale of everything
  double nucleus;     // darkness of the nuclear stain, about 1
  double cytoplasm;   // strength of the cytoplasm's stain, about 1
  Point orientation;  // of the cell, a unit vector

  Mask EmptyMask() const { return Mask(canvas.size()); }
};

Colour Jitter(Colour colour, double deviation, Random* random) {
  // Mostly in brightness, a little in hue.
  const double brightness = random->Normal(0, deviation);
  const auto channel = [&](float value) {
    return static_cast<float>(value + brightness + random->Normal(0, deviation / 2));
  };
  const float r = channel(colour.r), g = channel(colour.g), b = channel(colour.b);
  return {r, g, b};
}

// Towards white by a weaker stain, darker by a stronger one.
Colour Stain(Colour colour, double strength) {
  const auto channel = [strength](float value) {
    return static_cast<float>(std::max(0.0, 245 - (245 - value) * strength));
  };
  return {channel(colour.r), channel(colour.g), channel(colour.b)};
}

Blob RoundBlob(Point center, double radius, double roundness, double waviness, Random* random) {
  Blob blob;
  blob.center = center;
  const double stretch = random->Uniform(roundness, 1);
  blob.radius_x = radius / stretch;
  blob.radius_y = radius * stretch;
  blob.axis = Direction(random->Uniform());
  double amplitude = waviness;
  for (Point& wave : blob.waves) {
    wave = Direction(random->Uniform()) * (amplitude * random->Uniform());
    amplitude *= 0.7;
  }
  return blob;
}

Point Turn(Point direction, double turns) {
  const Point by = Direction(turns);
  return {direction.x * by.x - direction.y * by.y, direction.x * by.y + direction.y * by.x};
}

// A point of the disc, evenly spread.
Point InDisc(Point center, double radius, Random* random) {
  for (;;) {
    const Point p = {random->Uniform(-1, 1), random->Uniform(-1, 1)};
    if (p.x * p.x + p.y * p.y <= 1) return center + p * radius;
  }
}

void PaintCytoplasm(const Mask& cell, Colour colour, double grain, Scene* scene) {
  const Colour stained = Stain(Jitter(colour, 7, &scene->random), scene->cytoplasm);
  scene->canvas.Paint(cell, stained, scene->random.Uniform(0.85, 1.0), scene->texture, grain);
}

void PaintNucleus(const Mask& nucleus, Colour colour, double grain, Scene* scene) {
  const Colour stained = Stain(Jitter(colour, 8, &scene->random), scene->nucleus);
  scene->canvas.Paint(nucleus, stained, 0.97, scene->texture, grain);
}

// `count` dots within `cell`.
void PaintGranules(const Mask& cell, double cell_radius, int count, double radius, Colour colour,
                   double opacity, Scene* scene) {
  Mask dots = scene->EmptyMask();
  for (int i = 0; i < count; ++i) {
    dots.AddDisc(InDisc(scene->center, cell_radius, &scene->random),
                 radius * scene->zoom * scene->random.Uniform(0.7, 1.3));
  }
  dots.IntersectWith(cell);
  scene->canvas.Paint(dots, Jitter(colour, 6, &scene->random), opacity, scene->texture, 0.1);
}

Mask DrawBody(double radius, double roundness, double waviness, Scene* scene) {
  Mask cell = scene->EmptyMask();
  cell.Add(RoundBlob(scene->center, radius, roundness, waviness, &scene->random));
  return cell;
}

// Lobes along an arc of `arc` turns around the cell's centre, joined by strands.
Mask DrawLobes(int lobes, double arc, double distance, double lobe_radius, double strand,
               Scene* scene) {
  Random& random = scene->random;
  Mask nucleus = scene->EmptyMask();
  Point previous;
  for (int i = 0; i < lobes; ++i) {
    const double along = (lobes == 1 ? 0.0 : arc * (static_cast<double>(i) / (lobes - 1) - 0.5)) +
                         random.Normal(0, 0.02);
    const Point at =
        scene->center + Turn(scene->orientation, along) * (distance * random.Uniform(0.85, 1.1));
    nucleus.Add(RoundBlob(at, lobe_radius * random.Uniform(0.85, 1.15), 0.82, 0.06, &random));
    if (i > 0) nucleus.AddStroke(previous, at, strand * random.Uniform(0.8, 1.2));
    previous = at;
  }
  return nucleus;
}

// One large nucleus off the centre, with an indentation of `depth` of its radius (0 = round).
Mask DrawLargeNucleus(double radius, double offset, double depth, double waviness, Scene* scene) {
  Random& random = scene->random;
  const Point at = scene->center + scene->orientation * offset;
  Mask nucleus = scene->EmptyMask();
  nucleus.Add(RoundBlob(at, radius, 0.88, waviness, &random));
  if (depth > 0) {
    const double bite = radius * random.Uniform(0.45, 0.65);
    const Point side = Turn(scene->orientation, 0.5 + random.Normal(0, 0.06));
    nucleus.Subtract(
        RoundBlob(at + side * (radius * (1 - depth) + bite), bite, 0.7, 0.05, &random));
  }
  return nucleus;
}

void DrawBasophil(Scene* scene) {
  Random& random = scene->random;
  const double radius = random.Normal(0.29, 0.025) * scene->zoom;
  const Mask cell = DrawBody(radius, 0.94, 0.05, scene);
  PaintCytoplasm(cell, {188, 140, 182}, 0.12, scene);
  Mask nucleus = DrawLobes(static_cast<int>(2 + random.Below(2)), random.Uniform(0.35, 0.6),
                           radius * 0.36, radius * 0.46, radius * 0.3, scene);
  nucleus.IntersectWith(cell);
  PaintNucleus(nucleus, {104, 56, 140}, 0.15, scene);
  PaintGranules(cell, radius, static_cast<int>(40 + random.Below(45)), 0.017, {62, 26, 98}, 0.85,
                scene);
}

void DrawEosinophil(Scene* scene) {
  Random& random = scene->random;
  const double radius = random.Normal(0.30, 0.025) * scene->zoom;
  const Mask cell = DrawBody(radius, 0.93, 0.04, scene);
  PaintCytoplasm(cell, {214, 150, 146}, 0.1, scene);
  PaintGranules(cell, radius, static_cast<int>(70 + random.Below(50)), 0.016, {200, 104, 92}, 0.7,
                scene);
  const int lobes = random.Chance(0.85) ? 2 : 3;
  PaintNucleus(DrawLobes(lobes, random.Uniform(0.3, 0.48), radius * 0.5, radius * 0.38,
                         radius * 0.13, scene),
               {80, 40, 124}, 0.18, scene);
}

void DrawErythroblast(Scene* scene) {
  Random& random = scene->random;
  const double radius = random.Normal(0.205, 0.03) * scene->zoom;
  const Mask cell = DrawBody(radius, 0.9, 0.05, scene);
  // The younger, the bluer.
  const double age = random.Uniform();
  const Colour cytoplasm = {static_cast<float>(150 + 62 * age), static_cast<float>(145 + 30 * age),
                            static_cast<float>(185 - 5 * age)};
  PaintCytoplasm(cell, cytoplasm, 0.06, scene);
  const double nucleus_radius = radius * random.Uniform(0.48, 0.68);
  const double room = (radius - nucleus_radius) * random.Uniform(0.1, 0.8);
  PaintNucleus(DrawLargeNucleus(nucleus_radius, room, 0, 0.03, scene), {56, 26, 92}, 0.1, scene);
}

void DrawImmatureGranulocyte(Scene* scene) {
  Random& random = scene->random;
  const double radius = random.Normal(0.31, 0.035) * scene->zoom;
  const Mask cell = DrawBody(radius, 0.9, 0.05, scene);
  PaintCytoplasm(cell, {182, 146, 192}, 0.1, scene);
  PaintGranules(cell, radius, static_cast<int>(60 + random.Below(60)), 0.009, {128, 66, 140}, 0.6,
                scene);
  const double depth = random.Chance(0.5) ? random.Uniform(0.15, 0.5) : 0;
  const double nucleus_radius = radius * random.Uniform(0.62, 0.74);
  Mask nucleus =
      DrawLargeNucleus(nucleus_radius, (radius - nucleus_radius) * 0.75, depth, 0.05, scene);
  nucleus.IntersectWith(cell);
  PaintNucleus(nucleus, {98, 50, 142}, 0.2, scene);
}

void DrawLymphocyte(Scene* scene) {
  Random& random = scene->random;
  const double radius = random.Normal(0.225, 0.03) * scene->zoom;
  const Mask cell = DrawBody(radius, 0.9, 0.07, scene);
  PaintCytoplasm(cell, {142, 146, 208}, 0.05, scene);
  const double nucleus_radius = radius * random.Uniform(0.8, 0.9);
  const double depth = random.Chance(0.25) ? random.Uniform(0.08, 0.18) : 0;
  PaintNucleus(
      DrawLargeNucleus(nucleus_radius, (radius - nucleus_radius) * 0.6, depth, 0.03, scene),
      {72, 34, 116}, 0.2, scene);
}

void DrawMonocyte(Scene* scene) {
  Random& random = scene->random;
  const double radius = random.Normal(0.36, 0.035) * scene->zoom;
  const Mask cell = DrawBody(radius, 0.88, 0.08, scene);
  PaintCytoplasm(cell, {168, 158, 192}, 0.08, scene);
  Mask vacuoles = scene->EmptyMask();
  for (int64_t i = random.Below(6); i > 0; --i) {
    vacuoles.AddDisc(InDisc(scene->center, radius * 0.85, &random),
                     random.Uniform(0.012, 0.025) * scene->zoom);
  }
  scene->canvas.Paint(vacuoles, {226, 214, 222}, 0.7, scene->texture, 0);
  const double nucleus_radius = radius * random.Uniform(0.6, 0.7);
  Mask nucleus = DrawLargeNucleus(nucleus_radius, (radius - nucleus_radius) * 0.5,
                                  random.Uniform(0.25, 0.95), 0.09, scene);
  nucleus.IntersectWith(cell);
  PaintNucleus(nucleus, {104, 58, 144}, 0.28, scene);
}

void DrawNeutrophil(Scene* scene) {
  Random& random = scene->random;
  const double radius = random.Normal(0.295, 0.025) * scene->zoom;
  const Mask cell = DrawBody(radius, 0.92, 0.05, scene);
  PaintCytoplasm(cell, {222, 188, 198}, 0.07, scene);
  PaintGranules(cell, radius, static_cast<int>(40 + random.Below(40)), 0.007, {186, 140, 170}, 0.5,
                scene);
  const bool band = random.Chance(0.12);  // not yet in lobes: a bent sausage
  const int lobes = band ? 6 : static_cast<int>(3 + random.Below(3));
  const double lobe_radius = radius * (band ? 0.23 : random.Uniform(0.27, 0.34));
  PaintNucleus(DrawLobes(lobes, random.Uniform(0.5, 0.8), radius * 0.52, lobe_radius,
                         radius * (band ? 0.21 : 0.12), scene),
               {78, 36, 122}, 0.18, scene);
}

void DrawPlatelet(Scene* scene) {
  Random& random = scene->random;
  const double radius = std::max(0.055, random.Normal(0.105, 0.03)) * scene->zoom;
  const Mask body = DrawBody(radius, 0.8, 0.12, scene);
  PaintCytoplasm(body, {176, 142, 190}, 0.1, scene);
  PaintGranules(body, radius * 0.75, static_cast<int>(10 + random.Below(16)), 0.014, {104, 58, 140},
                0.75, scene);
}

// Red cells around the cell, without regard for each other, as in a thick smear.
void DrawRedCells(double clearance, Scene* scene) {
  Random& random = scene->random;
  const Colour red = Jitter({214, 178, 166}, 6, &random);
  for (int64_t i = random.Below(13); i > 0; --i) {
    const double radius = random.Normal(0.125, 0.014) * scene->zoom;
    const Point at = {random.Uniform(-0.1, 1.1), random.Uniform(-0.1, 1.1)};
    if (Distance(at, scene->center) < clearance + radius * 0.6) continue;
    Mask disc = scene->EmptyMask();
    disc.Add(RoundBlob(at, radius, 0.85, 0.06, &random));
    scene->canvas.Paint(disc, red, 0.85, scene->texture, 0.05);
    if (random.Chance(0.3)) continue;
    Mask pallor = scene->EmptyMask();
    pallor.Add(RoundBlob(at, radius * random.Uniform(0.35, 0.6), 0.8, 0.05, &random));
    scene->canvas.Paint(pallor, {246, 222, 200}, 0.75, scene->texture, 0.03);
  }
}

// Debris and platelets that lie about near every type of cell.
void DrawBystanders(double clearance, Scene* scene) {
  Random& random = scene->random;
  if (!random.Chance(0.3)) return;
  const Point at = {random.Uniform(), random.Uniform()};
  if (Distance(at, scene->center) < clearance + 0.05) return;
  Mask body = scene->EmptyMask();
  body.Add(RoundBlob(at, random.Uniform(0.02, 0.055) * scene->zoom, 0.75, 0.1, &random));
  scene->canvas.Paint(body, {150, 108, 172}, 0.85, scene->texture, 0.2);
}

// Lamp, camera and a gradient over the field.
void Illuminate(Scene* scene) {
  Random& random = scene->random;
  const double gain = random.Uniform(0.86, 1.03);
  const bool bluish = random.Chance(0.06);  // another microscope's white balance
  const double red = random.Normal(bluish ? 0.88 : 1, 0.025);
  const double green = random.Normal(bluish ? 0.94 : 1, 0.02);
  const double blue = random.Normal(bluish ? 1.15 : 1, 0.03);
  const Point slope = Direction(random.Uniform()) * random.Uniform(0, 0.08);
  const int size = scene->canvas.size();
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const double light =
          gain * (1 + slope.x * ((x + 0.5) / size - 0.5) + slope.y * ((y + 0.5) / size - 0.5));
      Colour& pixel = scene->canvas.at(x, y);
      pixel.r = static_cast<float>(pixel.r * light * red);
      pixel.g = static_cast<float>(pixel.g * light * green);
      pixel.b = static_cast<float>(pixel.b * light * blue);
    }
  }
}

// Room that red cells leave around a type's centre.
double Clearance(int label) {
  constexpr double kClearances[kDrawnCellTypes] = {0.29, 0.30, 0.20, 0.31, 0.22, 0.36, 0.29, 0.10};
  return kClearances[label];
}

using DrawFunction = void (*)(Scene*);
constexpr DrawFunction kDraw[kDrawnCellTypes] = {
    DrawBasophil,   DrawEosinophil, DrawErythroblast, DrawImmatureGranulocyte,
    DrawLymphocyte, DrawMonocyte,   DrawNeutrophil,   DrawPlatelet};

}  // namespace

Image DrawCell(int label, int size, Random* random) {
  const Colour background = Jitter({252, 228, 204}, 3, random);
  Scene scene = {*random,
                 Canvas(size, background),
                 Texture(random),
                 {0.5 + random->Normal(0, 0.025), 0.5 + random->Normal(0, 0.025)},
                 random->Uniform(0.88, 1.1),
                 random->Uniform(0.8, 1.1),
                 random->Uniform(0.75, 1.2),
                 Direction(random->Uniform())};
  DrawRedCells(Clearance(label) * scene.zoom, &scene);
  DrawBystanders(Clearance(label) * scene.zoom, &scene);
  kDraw[label](&scene);
  Illuminate(&scene);
  return scene.canvas.ToImage();
}

}  // namespace cytopress
