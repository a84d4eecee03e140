package io.github.dl4jretention.samples;

import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.samples.model.Checkpoint;
import java.io.IOException;
import java.nio.file.Path;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The option of a program that names the folder of its model. */
final class ModelOption {

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(
            names = "--model",
            paramLabel = "DIR",
            required = true,
            description = "Folder with config.json, model.safetensors or its shards, and tokenizer.json.")
    private Path folder;

    LanguageModel load() {
        return load(spec, folder, false);
    }

    /** With weights that may stay in half precision, for adapters. */
    LanguageModel loadFrozen() {
        return load(spec, folder, true);
    }

    /** The model of a folder, or an error that names the option. */
    static LanguageModel load(CommandSpec spec, Path folder) {
        return load(spec, folder, false);
    }

    private static LanguageModel load(CommandSpec spec, Path folder, boolean frozen) {
        try {
            LanguageModel loaded = frozen ? LanguageModel.loadFrozen(folder) : LanguageModel.load(folder);
            loaded.tokenizer();
            return loaded;
        } catch (IOException e) {
            throw new ParameterException(spec.commandLine(), "--model: " + e.getMessage(), e);
        }
    }

    /** A network of a file, which DL4J saved. */
    static MultiLayerNetwork network(CommandSpec spec, Path file) {
        try {
            return Checkpoint.loadNetwork(file);
        } catch (IOException e) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--model: expected a model folder, or a MultiLayerNetwork saved by DL4J's ModelSerializer, got "
                            + file,
                    e);
        }
    }
}
