package io.github.dl4jretention.lm.huggingface;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Small models of all architectures with PyTorch's numbers; {@code make_models.py} beside them says how. */
public final class ReferenceModels {

    private ReferenceModels() {}

    /** {@return a model's folder, of those beside the tests or, with {@code -DreferenceModels=DIR}, of others} */
    public static Path folder(String name) {
        String others = System.getProperty("referenceModels");
        if (others != null) {
            return Path.of(others, name);
        }
        try {
            return Path.of(
                    ReferenceModels.class.getResource("/huggingface/" + name).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** {@return the script that made the models, and that reads a folder} */
    public static Path script() {
        try {
            return Path.of(ReferenceModels.class
                    .getResource("/huggingface/make_models.py")
                    .toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** {@return names of all models} */
    public static List<String> names() {
        try (Stream<Path> folders = Files.list(folder("").toAbsolutePath())) {
            return folders.filter(Files::isDirectory)
                    .map(path -> path.getFileName().toString())
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@return a copy that a test may damage, without the reference values} */
    public static Path copy(String name, Path to) throws IOException {
        Files.createDirectories(to);
        for (Path file : files(folder(name))) {
            Files.copy(file, to.resolve(file.getFileName()));
        }
        return to;
    }

    /** {@return the files of a model folder, without the reference values} */
    public static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> !file.endsWith("reference.safetensors"))
                    .sorted()
                    .toList();
        }
    }

    /** {@return numbers of the reference: ids, labels, logits, and the gradients by the names of weights} */
    public static Map<String, double[]> reference(String name) throws IOException {
        Map<String, double[]> numbers = new LinkedHashMap<>();
        try (SafetensorsFile file = SafetensorsFile.open(folder(name).resolve("reference.safetensors"))) {
            for (Tensor tensor : file.tensors()) {
                ByteBuffer bytes = file.map(tensor, 0, (int) tensor.bytes());
                double[] values =
                        new double[(int) tensor.bytes() / tensor.type().bytes()];
                for (int i = 0; i < values.length; i++) {
                    values[i] = tensor.type() == TensorType.I64 ? bytes.getLong() : bytes.getFloat();
                }
                numbers.put(tensor.name(), values);
            }
        }
        return numbers;
    }

    /** Each number within a part of the largest, or of 0.1 if that is larger; NaN fails. */
    static void assertRelative(String what, double[] expected, double[] actual, double tolerance) {
        assertEquals(expected.length, actual.length, what);
        double largest = 0.1;
        for (double value : expected) {
            largest = Math.max(largest, Math.abs(value));
        }
        for (int i = 0; i < expected.length; i++) {
            assertEquals(expected[i], actual[i], tolerance * largest, what + " at " + i);
        }
    }
}
