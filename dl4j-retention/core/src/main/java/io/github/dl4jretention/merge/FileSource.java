package io.github.dl4jretention.merge;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipFile;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** A model file from which parameters are streamed. Every error names the file. */
final class FileSource implements ParameterSource {

    private final Path model;
    private final ZipFile zip;
    private final String configuration;
    private final Architecture architecture;
    private final CheckedEntry entry;
    private final CoefficientsStream coefficients;
    private int parameter;

    /** Reads up to the first parameter. */
    FileSource(Path model) throws IOException {
        this.model = model;
        if (!Files.isReadable(model)) {
            throw new IOException("model: expected a readable file, got " + model);
        }
        ZipFile opened = null;
        try {
            opened = new ZipFile(model.toFile());
            byte[] json = new CheckedEntry(opened, ModelSerializer.CONFIGURATION_JSON).read();
            configuration = new String(json, StandardCharsets.UTF_8);
            architecture = architecture(configuration);
            entry = new CheckedEntry(opened, ModelSerializer.COEFFICIENTS_BIN);
            coefficients = CoefficientsStream.readHead(entry.in());
            if (coefficients.length() != architecture.length() || coefficients.type() != architecture.dataType()) {
                throw new IOException("expected " + architecture.length() + " parameters of type "
                        + architecture.dataType() + " by its configuration, got " + coefficients.length() + " of type "
                        + coefficients.type());
            }
        } catch (IOException | RuntimeException e) {
            if (opened != null) {
                opened.close();
            }
            throw named(e);
        }
        zip = opened;
    }

    private static Architecture architecture(String json) throws IOException {
        JsonNode tree = new ObjectMapper().readTree(json);
        return tree.has("confs")
                ? Architectures.of(MultiLayerConfiguration.fromJson(json))
                : Architectures.of(ComputationGraphConfiguration.fromJson(json));
    }

    private IOException named(Exception cause) {
        return new IOException(
                "model " + model + ": " + (cause.getMessage() == null ? cause : cause.getMessage()), cause);
    }

    /** As JSON. */
    String configuration() {
        return configuration;
    }

    CoefficientsStream coefficients() {
        return coefficients;
    }

    @Override
    public Architecture architecture() {
        return architecture;
    }

    @Override
    public double[] next() throws IOException {
        try {
            int length = architecture.parameters().get(parameter++).length();
            double[] values = coefficients.read(entry.in(), length);
            if (parameter == architecture.parameters().size()) {
                entry.requireEnd();
            }
            return values;
        } catch (IOException e) {
            throw named(e);
        }
    }

    @Override
    public void close() throws IOException {
        zip.close();
    }
}
