package io.github.dl4jretention;

import static com.tngtech.archunit.library.Architectures.layeredArchitecture;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

/** Dependencies point one way; the loss knows nobody. */
class ArchitectureTest {

    @Test
    void packages_depend_one_way() {
        JavaClasses classes = new ClassFileImporter()
                .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
                .importPackages("io.github.dl4jretention");
        layeredArchitecture()
                .consideringOnlyDependenciesInLayers()
                .layer("front")
                .definedBy("io.github.dl4jretention")
                .layer("eval")
                .definedBy("..eval..")
                .layer("checkpoint")
                .definedBy("..checkpoint..")
                .layer("listener")
                .definedBy("..listener..")
                .layer("cache")
                .definedBy("..cache..")
                .layer("teacher")
                .definedBy("..teacher..")
                .layer("loss")
                .definedBy("..loss..")
                .whereLayer("front")
                .mayNotBeAccessedByAnyLayer()
                .whereLayer("eval")
                .mayOnlyBeAccessedByLayers("front")
                .whereLayer("checkpoint")
                .mayOnlyBeAccessedByLayers("front")
                .whereLayer("listener")
                .mayOnlyBeAccessedByLayers("front")
                .whereLayer("cache")
                .mayOnlyBeAccessedByLayers("front")
                .whereLayer("teacher")
                .mayOnlyBeAccessedByLayers("front", "eval", "checkpoint", "cache")
                .whereLayer("loss")
                .mayOnlyBeAccessedByLayers("front", "eval", "checkpoint", "listener", "cache", "teacher")
                .check(classes);
    }
}
