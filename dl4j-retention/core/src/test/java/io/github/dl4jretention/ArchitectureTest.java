package io.github.dl4jretention;

import static com.tngtech.archunit.library.Architectures.layeredArchitecture;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

/** Dependencies point one way; the loss knows nobody. */
class ArchitectureTest {

    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("io.github.dl4jretention");

    @Test
    void nothing_is_formatted_in_the_default_locale() {
        LocaleRule.check(CLASSES, "io.github.dl4jretention..");
    }

    @Test
    void packages_depend_one_way() {
        layeredArchitecture()
                .consideringOnlyDependenciesInLayers()
                .layer("front")
                .definedBy("io.github.dl4jretention")
                .layer("baseline")
                .definedBy("..baseline..")
                .layer("merge")
                .definedBy("..merge..")
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
                .layer("internal")
                .definedBy("..internal..")
                .whereLayer("internal")
                .mayOnlyAccessLayers("loss")
                .whereLayer("baseline")
                .mayOnlyBeAccessedByLayers("front")
                .whereLayer("merge")
                .mayOnlyBeAccessedByLayers("front")
                .whereLayer("front")
                .mayNotBeAccessedByAnyLayer()
                .whereLayer("eval")
                .mayOnlyBeAccessedByLayers("front")
                .whereLayer("checkpoint")
                .mayOnlyBeAccessedByLayers("front", "baseline")
                .whereLayer("listener")
                .mayOnlyBeAccessedByLayers("front", "checkpoint")
                .whereLayer("cache")
                .mayOnlyBeAccessedByLayers("front")
                .whereLayer("teacher")
                .mayOnlyBeAccessedByLayers("front", "baseline", "eval", "checkpoint", "cache")
                .whereLayer("loss")
                .mayOnlyBeAccessedByLayers(
                        "front", "baseline", "merge", "eval", "checkpoint", "listener", "cache", "teacher", "internal")
                .whereLayer("internal")
                .mayOnlyAccessLayers("loss")
                .check(CLASSES);
    }
}
