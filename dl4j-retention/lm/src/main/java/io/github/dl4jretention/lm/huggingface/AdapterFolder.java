package io.github.dl4jretention.lm.huggingface;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.lm.huggingface.AdapterLayout.Part;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A folder of low-rank adapters as PEFT has it, in and out: adapter_config.json with the settings, adapter_model.safetensors
 * with two tensors for each module, {@code base_model.model.MODULE.lora_A.weight [rank, nIn]} and {@code lora_B.weight
 * [nOut, rank]}. Source: https://huggingface.co/docs/peft/developer_guides/checkpoint.
 *
 * <p>Where a module is several weights of a {@link io.github.dl4jretention.lm.layers.DecoderBlock} at once (GPT-2's c_attn,
 * GPT-NeoX's query_key_value), a loaded adapter becomes one for each, with the same A; adapters that differ are saved as
 * one of the sum of their ranks, with B in blocks.
 */
public final class AdapterFolder {

    static final String CONFIG = "adapter_config.json";
    static final String WEIGHTS = "adapter_model.safetensors";

    private static final String PREFIX = "base_model.model.";
    private static final Pattern TENSOR =
            Pattern.compile("base_model\\.model\\.(.+)\\.lora_([AB])\\.(?:default\\.)?weight");
    private static final String BASE = "base_sha256";

    private AdapterFolder() {}

    /** Says which weights of a network get adapters, and what these start with. */
    public interface Source {

        /**
         * {@return the adapters of a layer, by the names of the weights that they are beside}
         *
         * @param place    index or vertex of the layer
         * @param layer    its configuration
         * @param isOutput whether it's an output layer
         */
        Map<String, LowRank> adapters(String place, Layer layer, boolean isOutput);

        /** Complains about what was asked for and isn't there, after all layers were asked about. */
        void requireUsed();

        /**
         * Sets the first values of an adapter.
         *
         * @param place  index or vertex of the layer
         * @param weight that it's beside
         * @param down   D {@code [nIn, rank]}
         * @param up     U {@code [rank, nOut]}
         */
        void start(String place, String weight, INDArray down, INDArray up);
    }

    /**
     * An adapter of a network.
     *
     * @param settings of it
     * @param down     D {@code [nIn, rank]}
     * @param up       U {@code [rank, nOut]}
     */
    public record Adapter(LowRank settings, INDArray down, INDArray up) {}

    /**
     * Adapters to be written.
     *
     * @param adapters by place and weight, with a dot between
     * @param base     SHA-256 of the network that they belong to
     */
    public record Contents(Map<String, Adapter> adapters, String base) {}

    /** A matrix, row after row. */
    private record Matrix(int rows, int columns, double[] values) {

        static Matrix of(INDArray transposed) {
            INDArray rows = transposed.transpose().dup('c');
            return new Matrix(
                    (int) rows.size(0),
                    (int) rows.size(1),
                    rows.reshape(rows.length()).toDoubleVector());
        }
    }

    /** What a module of a file has. */
    private record Saved(LowRank settings, Matrix a, Matrix b) {}

    /**
     * Writes a folder whose modules are called by place and weight.
     *
     * @param folder   not there yet, or empty
     * @param contents what is written
     * @param shapes   {@code [nIn, nOut]} of the network's weights, by place and weight
     * @throws IOException if it has files or can't be written; nothing is left behind
     */
    public static void write(Path folder, Contents contents, Map<String, long[]> shapes) throws IOException {
        write(folder, contents, AdapterLayout.of(shapes), "", false);
    }

    /**
     * Writes a folder as PEFT calls the modules of a model.
     *
     * @param folder   not there yet, or empty
     * @param contents what is written
     * @param model    the folder that the base was loaded from
     * @throws IOException if it has files or can't be written; nothing is left behind
     */
    public static void write(Path folder, Contents contents, ModelFolder model) throws IOException {
        write(folder, contents, AdapterLayout.of(model), model.name(), model.architecture() == Architecture.GPT2);
    }

    private static void write(
            Path folder, Contents contents, List<AdapterLayout> layouts, String name, boolean fanInFanOut)
            throws IOException {
        Map<String, Saved> modules = new LinkedHashMap<>();
        Set<String> met = new LinkedHashSet<>();
        boolean wide = false;
        for (AdapterLayout layout : layouts) {
            Saved saved = saved(layout, contents.adapters());
            if (saved != null) {
                modules.put(layout.module(), saved);
                layout.parts().forEach(part -> met.add(part.key()));
            }
        }
        if (!met.containsAll(contents.adapters().keySet())) {
            throw new IllegalArgumentException("adapted: expected adapters of the model's weights, got "
                    + contents.adapters().keySet());
        }
        for (Adapter adapter : contents.adapters().values()) {
            wide |= adapter.down().dataType() == DataType.DOUBLE;
        }
        AdapterConfig config =
                AdapterConfig.of(settings(modules), targets(modules.keySet(), layouts), name, fanInFanOut);
        AdapterTensors tensors = new AdapterTensors(wide ? TensorType.F64 : TensorType.F32);
        modules.forEach((module, saved) -> {
            tensors.add(PREFIX + module + ".lora_A.weight", saved.a.rows, saved.a.columns, saved.a.values);
            tensors.add(PREFIX + module + ".lora_B.weight", saved.b.rows, saved.b.columns, saved.b.values);
        });
        tensors.write(folder, WEIGHTS, Map.of(BASE, contents.base()), Map.of(CONFIG, config.bytes()));
    }

    private static Map<String, LowRank> settings(Map<String, Saved> modules) {
        Map<String, LowRank> settings = new LinkedHashMap<>();
        modules.forEach((name, saved) -> settings.put(name, saved.settings));
        return settings;
    }

    /** The last parts of the modules' names, where they mean no other module; else whole names. */
    private static List<String> targets(Set<String> modules, List<AdapterLayout> layouts) {
        Set<String> targets = new TreeSet<>();
        for (String module : modules) {
            String last = last(module);
            boolean all = layouts.stream()
                    .map(AdapterLayout::module)
                    .filter(name -> last(name).equals(last))
                    .allMatch(modules::contains);
            targets.add(all ? last : module);
        }
        return List.copyOf(targets);
    }

    private static String last(String module) {
        return module.substring(module.lastIndexOf('.') + 1);
    }

    private static @Nullable Saved saved(AdapterLayout layout, Map<String, Adapter> adapters) {
        Map<String, Adapter> mine = new LinkedHashMap<>();
        for (Part part : layout.parts()) {
            Adapter adapter = adapters.get(part.key());
            if (adapter != null) {
                mine.put(part.key(), adapter);
            }
        }
        if (mine.isEmpty()) {
            return null;
        }
        Set<String> keys = new LinkedHashSet<>();
        layout.parts().forEach(part -> keys.add(part.key()));
        List<Matrix> downs =
                mine.values().stream().map(adapter -> Matrix.of(adapter.down())).toList();
        LowRank first = mine.values().iterator().next().settings();
        boolean shared = mine.keySet().equals(keys)
                && downs.stream().allMatch(down -> Arrays.equals(down.values, downs.get(0).values))
                && mine.values().stream().allMatch(adapter -> adapter.settings().equals(first));
        int rank = shared ? first.rank() : downs.stream().mapToInt(Matrix::rows).sum();
        int nIn = downs.get(0).columns;
        double[] a = new double[Math.multiplyExact(rank, nIn)];
        Map<String, Integer> columns = new LinkedHashMap<>();
        int column = 0;
        int index = 0;
        for (String key : mine.keySet()) {
            Matrix down = downs.get(index++);
            columns.put(key, shared ? 0 : column);
            System.arraycopy(down.values, 0, a, shared ? 0 : column * nIn, down.values.length);
            column += down.rows;
        }
        double[] b = new double[Math.multiplyExact(Math.toIntExact(layout.nOut()), rank)];
        Map<String, Matrix> ups = new LinkedHashMap<>();
        mine.forEach((key, adapter) -> ups.put(key, Matrix.of(adapter.up())));
        int row = 0;
        for (Part part : layout.parts()) {
            Matrix up = ups.get(part.key());
            for (int i = 0; i < part.rows(); i++, row++) {
                for (int j = 0; up != null && j < up.columns; j++) {
                    // Scales that differ are put into B.
                    double ratio =
                            requireNonNull(mine.get(part.key())).settings().scale() / first.scale();
                    b[row * rank + requireNonNull(columns.get(part.key())) + j] =
                            up.values[(int) (part.from() + i) * up.columns + j] * ratio;
                }
            }
        }
        double alpha = first.scale() * (first.isRankStabilized() ? Math.sqrt(rank) : rank);
        LowRank settings =
                rank == first.rank() ? first : new LowRank(rank, alpha, first.isRankStabilized(), first.dropout());
        return new Saved(settings, new Matrix(rank, nIn, a), new Matrix((int) layout.nOut(), rank, b));
    }

    /**
     * {@return the adapters of a folder whose modules are called by place and weight}
     *
     * @param folder with both files
     * @param base   SHA-256 of the network that they are to belong to
     * @param shapes {@code [nIn, nOut]} of its weights, by place and weight
     * @throws IOException if a file is missing, damaged or doesn't fit, or if the adapters are another base's
     */
    public static Source read(Path folder, String base, Map<String, long[]> shapes) throws IOException {
        return read(folder, base, AdapterLayout.of(shapes));
    }

    /**
     * {@return the adapters of a folder that calls modules as PEFT does}
     *
     * @param folder with both files
     * @param base   SHA-256 of the network that they are to belong to
     * @param model  the folder that it was loaded from
     * @throws IOException if a file is missing, damaged or doesn't fit, or if the adapters are another base's
     */
    public static Source read(Path folder, String base, ModelFolder model) throws IOException {
        return read(folder, base, AdapterLayout.of(model));
    }

    private static Source read(Path folder, String base, List<AdapterLayout> layouts) throws IOException {
        if (!Files.isDirectory(folder) || !Files.exists(folder.resolve(CONFIG))) {
            throw new IOException("folder: expected a folder with " + CONFIG + " and " + WEIGHTS + ", got " + folder);
        }
        AdapterConfig config = AdapterConfig.read(folder.resolve(CONFIG));
        Path file = folder.resolve(WEIGHTS);
        Map<String, AdapterLayout> known = new LinkedHashMap<>();
        layouts.forEach(layout -> known.put(layout.module(), layout));
        Map<String, Matrix> ofA = new LinkedHashMap<>();
        Map<String, Matrix> ofB = new LinkedHashMap<>();
        try (SafetensorsFile tensors = SafetensorsFile.open(file)) {
            requireBase(tensors, base, file);
            for (Tensor tensor : tensors.tensors()) {
                Matcher name = TENSOR.matcher(tensor.name());
                if (!name.matches() || !known.containsKey(name.group(1))) {
                    throw damaged(
                            file,
                            "tensors named " + PREFIX
                                    + "MODULE.lora_A.weight or lora_B.weight, with one of the modules "
                                    + known.keySet(),
                            "\"" + tensor.name() + "\"");
                }
                if (tensor.shape().size() != 2) {
                    throw damaged(
                            file,
                            "tensor \"" + tensor.name() + "\" to have 2 axes",
                            tensor.shape().toString());
                }
                Matrix matrix = new Matrix(
                        Math.toIntExact(tensor.shape().get(0)),
                        Math.toIntExact(tensor.shape().get(1)),
                        AdapterTensors.read(tensors, tensor, file));
                (name.group(2).equals("A") ? ofA : ofB).put(name.group(1), matrix);
            }
        }
        if (ofA.isEmpty() || !ofA.keySet().equals(ofB.keySet())) {
            throw damaged(
                    file,
                    "lora_A and lora_B of each module",
                    "lora_A of " + ofA.keySet() + " and lora_B of " + ofB.keySet());
        }
        Loaded loaded = new Loaded();
        for (Map.Entry<String, Matrix> a : ofA.entrySet()) {
            AdapterLayout layout = requireNonNull(known.get(a.getKey()));
            Matrix b = requireNonNull(ofB.get(a.getKey()));
            LowRank settings = config.settings(a.getKey());
            require(file, a.getKey() + ".lora_A.weight", a.getValue(), settings.rank(), layout.nIn());
            require(file, a.getKey() + ".lora_B.weight", b, layout.nOut(), settings.rank());
            loaded.add(layout, settings, a.getValue(), b);
        }
        return loaded;
    }

    private static void requireBase(SafetensorsFile tensors, String base, Path file) throws IOException {
        String noted = tensors.metadata().get(BASE);
        if (noted != null && !noted.equals(base)) {
            throw damaged(
                    file,
                    "adapters for the base with SHA-256 " + base,
                    "those of another, " + noted
                            + "; load the base that they were trained with, in the same number type");
        }
    }

    private static void require(Path file, String name, Matrix matrix, long rows, long columns) throws IOException {
        if (matrix.rows != rows || matrix.columns != columns) {
            throw damaged(
                    file,
                    "tensor \"" + PREFIX + name + "\" of shape [" + rows + ", " + columns + "]",
                    "[" + matrix.rows + ", " + matrix.columns + "]");
        }
    }

    private static IOException damaged(Path file, String expected, String got) {
        return new IOException("file " + file + ": expected " + expected + ", got " + got);
    }

    /** Adapters out of a folder. */
    private static final class Loaded implements Source {

        private final Map<String, Saved> adapters = new LinkedHashMap<>();

        void add(AdapterLayout layout, LowRank settings, Matrix a, Matrix b) {
            Map<String, double[]> ups = new LinkedHashMap<>();
            Map<String, Integer> rows = new LinkedHashMap<>();
            for (Part part : layout.parts()) {
                rows.merge(part.key(), Math.toIntExact(part.rows()), Integer::sum);
            }
            rows.forEach((key, count) -> ups.put(key, new double[count * b.columns]));
            int row = 0;
            for (Part part : layout.parts()) {
                System.arraycopy(
                        b.values,
                        row * b.columns,
                        requireNonNull(ups.get(part.key())),
                        (int) part.from() * b.columns,
                        (int) part.rows() * b.columns);
                row += (int) part.rows();
            }
            ups.forEach((key, values) -> adapters.put(
                    key, new Saved(settings, a, new Matrix(requireNonNull(rows.get(key)), b.columns, values))));
        }

        @Override
        public Map<String, LowRank> adapters(String place, Layer layer, boolean isOutput) {
            Map<String, LowRank> mine = new LinkedHashMap<>();
            adapters.forEach((key, saved) -> {
                // Names of vertices may have dots; those of weights have none.
                int dot = key.lastIndexOf('.');
                if (key.substring(0, dot).equals(place)) {
                    mine.put(key.substring(dot + 1), saved.settings);
                }
            });
            return mine;
        }

        @Override
        public void requireUsed() {
            // Modules were compared with the network's when the folder was read.
        }

        @Override
        public void start(String place, String weight, INDArray down, INDArray up) {
            Saved saved = requireNonNull(adapters.get(place + "." + weight));
            assign(saved.a, down);
            assign(saved.b, up);
        }

        private static void assign(Matrix matrix, INDArray transposed) {
            transposed.assign(Nd4j.createFromArray(matrix.values)
                    .reshape('c', matrix.rows, matrix.columns)
                    .transpose()
                    .castTo(transposed.dataType()));
        }
    }
}
